/** The parts of the page. */

/** The element of index.html with this id. */
export function element<Kind extends HTMLElement>(id: string): Kind {
  return document.getElementById(id) as Kind;
}

/** Show an error until another source is opened; an empty text shows none. */
export function sayError(message: string): void {
  const place = element("error");
  place.textContent = message;
  place.hidden = !message;
}

/** Say what is going on; it is read aloud where it changes. */
export function sayStatus(message: string): void {
  const place = element("status");
  if (place.textContent !== message) place.textContent = message;
}

/** Show how fast that is, which nobody wants read aloud. */
export function saySpeed(message: string): void {
  element("speed").textContent = message;
}

/** What an error says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Whether a button that stays down is down. */
export function isPressed(button: HTMLButtonElement): boolean {
  return button.getAttribute("aria-pressed") === "true";
}

/** Push such a button down, or let it up. */
export function press(button: HTMLButtonElement, down: boolean): void {
  button.setAttribute("aria-pressed", String(down));
}
