/** The parts of the page. */

/** The element of index.html with this id. */
export function element<Kind extends HTMLElement>(id: string): Kind {
  return document.getElementById(id) as Kind;
}

/** Say what is wrong; nothing takes it away again. */
export function sayError(message: string): void {
  const place = element("error");
  place.textContent = message;
  place.hidden = !message;
}

/** Say what is going on. */
export function sayStatus(message: string): void {
  const place = element("status");
  if (place.textContent !== message) place.textContent = message; // read aloud once
}

/** What an error says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
