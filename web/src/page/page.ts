/** What is shown: a picture or a video, its hands, and what is recorded of them. */

import { transfer, type Remote } from "comlink";
import type { Engine, Settings } from "../engine/engine";
import type { ShownHand } from "../engine/results";
import type { HandModel } from "../hand/handModel";
import { element, messageOf, sayError, sayStatus } from "./dom";
import { download, glbOf, jsonOf, plyOf } from "./files";
import { showAngles, showHands, showTimings } from "./hands";
import type { Overlay } from "./overlay";
import { Recording } from "./rig";
import type { OpenedPicture, OpenedVideo } from "./sources";
import type { Space } from "./space";

const UNKNOWN_LENGTH_CM = 9; // lowest value of the slider, which stands for a length that is not known
const MEAN_SHARE = 0.1; // of the newest frame in the mean time

const frame = element<HTMLCanvasElement>("frame");
const fov = element<HTMLInputElement>("fov");
const handLength = element<HTMLInputElement>("length");
const freeze = element<HTMLButtonElement>("freeze");
const record = element<HTMLButtonElement>("record");

export type Opener = () => Promise<OpenedPicture | OpenedVideo>;

export class Page {
  private source: OpenedPicture | OpenedVideo | null = null;
  private hands: ShownHand[] = [];
  private recording = new Recording();
  private looking = false;
  private again = false;
  private goOn = (): void => {}; // ends the wait of a frozen video

  constructor(
    private readonly engine: Remote<Engine>,
    private readonly model: HandModel,
    private readonly overlay: Overlay,
    private readonly space: Space,
    private readonly faces: Uint16Array,
  ) {}

  /** Open what a function opens, or say why that cannot be done. */
  async open(opener: Opener): Promise<void> {
    sayError("");
    try {
      const source = await opener();
      const before = this.source;
      if (before && "frames" in before) before.close();
      this.leave();
      this.source = source;
      await ("frames" in source ? this.follow(source) : this.lookAt(source));
    } catch (error) {
      sayError(messageOf(error));
    }
  }

  /** What the sliders say. */
  get settings(): Settings {
    const known = this.source && "bitmap" in this.source ? this.source.K : null;
    const length_cm = Number(handLength.value);
    return {
      K: known,
      fov_deg: Number(fov.value),
      handLength_m: length_cm > UNKNOWN_LENGTH_CM ? length_cm / 100 : null,
    };
  }

  /** Show what the sliders say. */
  showSettings(): void {
    const { K, fov_deg, handLength_m } = this.settings;
    element("fovValue").textContent = K ? "known" : `${fov_deg}°`;
    element("lengthValue").textContent = handLength_m === null ? "not known" : `${(100 * handLength_m).toFixed(1)} cm`;
  }

  /** A slider was moved: look again with what it says now. */
  async settingsChanged(): Promise<void> {
    this.showSettings();
    await this.engine.startTracking();
    if (this.source && !("frames" in this.source)) await this.open(async () => this.source!);
  }

  /** Stop at this frame, or go on. */
  toggleFreeze(): void {
    press(freeze, !isPressed(freeze));
    this.goOn();
  }

  /** Begin a new recording, or end it. */
  toggleRecording(begins = !isPressed(record)): void {
    if (begins) this.recording = new Recording();
    press(record, begins);
    this.showRecording();
  }

  /** Look at this frame of the camera as at a photo. */
  takePhoto(): Promise<void> {
    return this.open(async () => ({ name: "photo", bitmap: await createImageBitmap(frame), fov_deg: null, K: null }));
  }

  async showTimings(): Promise<void> {
    showTimings(await this.engine.timings());
  }

  saveJson(): void {
    const { width, height } = frame;
    const kFrom = this.settings.K ? "given" : this.fovFrom;
    const name = this.source!.name;
    download(`${name}_hands.json`, jsonOf({ name, width, height, kFrom, hands: this.hands }, this.model), "application/json");
  }

  savePly(): void {
    download(`${this.source!.name}.ply`, plyOf(this.hands, this.faces), "model/ply");
  }

  async saveGlb(): Promise<void> {
    const recorded = this.recording.duration_s > 0;
    const content = recorded ? await this.recording.toGlb(this.model, this.faces) : await glbOf(this.hands, this.faces);
    download(`${this.source!.name}.glb`, content, "model/gltf-binary");
  }

  private get fovFrom(): string {
    return this.source && "bitmap" in this.source && this.source.fov_deg === Number(fov.value) ? "exif" : "fov";
  }

  private leave(): void {
    this.source = null;
    this.recording = new Recording();
    this.toggleRecording(false);
    press(freeze, false);
    this.goOn();
  }

  private async lookAt(picture: OpenedPicture): Promise<void> {
    this.setKind(false, false);
    if (picture.fov_deg !== null) fov.value = String(Math.round(picture.fov_deg));
    fov.disabled = picture.K !== null;
    this.showSettings();
    this.again = true;
    if (this.looking) return; // what is looking will look again
    this.looking = true;
    try {
      while (this.again && this.source && "bitmap" in this.source) {
        this.again = false;
        const { bitmap } = this.source;
        sayStatus(`${this.source.name}: looking for hands…`);
        const start = performance.now();
        const copy = await createImageBitmap(bitmap);
        const hands = await this.engine.find(transfer(copy, [copy]), this.settings);
        if (this.again) continue;
        this.show(bitmap, hands, true);
        sayStatus(`${this.source.name}: ${counted(hands.length)} in ${Math.round(performance.now() - start)} ms.`);
      }
    } finally {
      this.looking = false;
    }
  }

  private async follow(source: OpenedVideo): Promise<void> {
    this.setKind(true, source.live);
    fov.disabled = false;
    await this.engine.startTracking();
    if (!source.live) this.toggleRecording(true);
    let mean_ms = 0;
    let isFirst = true;
    for await (const { bitmap, time_s } of source.frames()) {
      if (isPressed(freeze)) await new Promise<void>((resolve) => (this.goOn = resolve));
      if (this.source !== source) return;
      const copy = await createImageBitmap(bitmap);
      const start = performance.now();
      const hands = await this.engine.track(transfer(copy, [copy]), time_s, this.settings);
      const passed = performance.now() - start;
      mean_ms = isFirst ? passed : mean_ms + MEAN_SHARE * (passed - mean_ms);
      if (this.source !== source) return;
      this.show(bitmap, hands, isFirst || !this.hands.length);
      bitmap.close();
      isFirst = false;
      if (isPressed(record)) this.recording.add(hands, time_s);
      this.showRecording();
      sayStatus(`${source.name}: ${counted(hands.length)}, ${Math.round(mean_ms)} ms a frame.`);
    }
    this.toggleRecording(false);
  }

  private show(bitmap: ImageBitmap, hands: ShownHand[], isNew: boolean): void {
    const { width, height } = bitmap;
    if (frame.width !== width || frame.height !== height) Object.assign(frame, { width, height });
    frame.getContext("2d")!.drawImage(bitmap, 0, 0);
    this.hands = hands;
    this.overlay.show(hands, { width, height });
    this.space.show(hands, width, height, isNew);
    showHands(hands, this.model);
    for (const id of ["glb", "ply", "json"]) element<HTMLButtonElement>(id).disabled = !hands.length && id !== "json";
  }

  private setKind(moves: boolean, live: boolean): void {
    element("picture").classList.toggle("mirrored", live);
    freeze.disabled = record.disabled = !moves;
    element("photo").hidden = !live;
  }

  private showRecording(): void {
    const { duration_s } = this.recording;
    element("recording").textContent = duration_s
      ? `${isPressed(record) ? "Recording" : "Recorded"} ${duration_s.toFixed(1)} s: the GLB is animated.`
      : "";
    if (duration_s) element<HTMLButtonElement>("glb").disabled = false;
  }

  /** Show the joint angles of the finger under a point of the page. */
  point(event: PointerEvent): void {
    const { left, top, width, height } = frame.getBoundingClientRect();
    const scale = Math.min(width / frame.width, height / frame.height); // the picture lies in the middle
    let x = (event.clientX - left - width / 2) / (scale * frame.width) + 0.5;
    const y = (event.clientY - top - height / 2) / (scale * frame.height) + 0.5;
    if (element("picture").classList.contains("mirrored")) x = 1 - x;
    const hit = this.hands.length ? this.overlay.at(x, y) : null;
    showAngles(hit && { hand: this.hands[hit.hand], vertex: hit.vertex }, this.model);
  }
}

function isPressed(button: HTMLButtonElement): boolean {
  return button.getAttribute("aria-pressed") === "true";
}

function press(button: HTMLButtonElement, down: boolean): void {
  button.setAttribute("aria-pressed", String(down));
}

function counted(hands: number): string {
  return hands === 0 ? "no hand" : hands === 1 ? "1 hand" : `${hands} hands`;
}
