/** What is shown: a picture or a video, its hands, and what is recorded of them. */

import { transfer, type Remote } from "comlink";
import type { Engine } from "../engine/engine";
import type { ShownHand } from "../engine/results";
import type { HandModel } from "../hand/handModel";
import { element, isPressed, messageOf, press, sayError, saySpeed, sayStatus } from "./dom";
import { download, glbOf, jsonOf, plyOf, type Result } from "./files";
import { showAngles, showHands, showTimings } from "./hands";
import type { Overlay } from "./overlay";
import { Recording } from "./rig";
import { enable, settings, takeCamera } from "./settings";
import { isVideo, type Opened, type OpenedPicture, type OpenedVideo } from "./sources";
import type { Space } from "./space";

const MEAN_SHARE = 0.1; // of the newest frame in the mean time

const frame = element<HTMLCanvasElement>("frame");
const freeze = element<HTMLButtonElement>("freeze");
const record = element<HTMLButtonElement>("record");

export type Opener = () => Promise<Opened>;

export class Page {
  private request = 0; // number of the newest source that was asked for
  private source: Opened | null = null;
  private shown: Result = { name: "", kFrom: "fov", width: 0, height: 0, hands: [] };
  private recording = new Recording("");
  private looking = false;
  private again = false; // whether the picture is to be looked at, with settings that may have changed
  private goOn = (): void => {}; // ends the wait of a frozen video

  constructor(
    private readonly engine: Remote<Engine>,
    private readonly model: HandModel,
    private readonly overlay: Overlay,
    private readonly space: Space,
    private readonly faces: Uint16Array,
  ) {}

  /** Open what a function opens, or say why that cannot be done; the newest that was asked for stays. */
  async open(opener: Opener): Promise<void> {
    const request = ++this.request;
    sayError("");
    try {
      const source = await opener();
      if (request !== this.request) return source.close();
      this.leave();
      this.source = source;
      takeCamera(source);
      this.setKind(source);
      this.space.startAnew();
      await (isVideo(source) ? this.follow(source) : this.lookAgain());
    } catch (error) {
      if (request === this.request) sayError(messageOf(error));
    }
  }

  /** A slider was moved: look again with what it says now. */
  async settingsChanged(): Promise<void> {
    if (!this.source) return;
    if (!isVideo(this.source)) return this.lookAgain();
    await this.engine.startTracking();
    if (isPressed(record)) this.toggleRecording(true); // hands get new numbers and places
  }

  /** Stop at this frame, or go on. */
  toggleFreeze(): void {
    press(freeze, !isPressed(freeze));
    enable(!isPressed(freeze));
    this.goOn();
  }

  /** Begin a new recording, or end it. */
  toggleRecording(begins = !isPressed(record)): void {
    if (begins) this.recording = new Recording(this.source!.name);
    press(record, begins);
    this.showRecording();
  }

  /** Look at this frame of the camera as at a photo. */
  takePhoto(): Promise<void> {
    element("camera").focus(); // its own button goes away
    return this.open(async () => {
      const bitmap = await createImageBitmap(frame);
      return { name: "photo", bitmap, fov_deg: null, K: null, close: () => bitmap.close() };
    });
  }

  /** Show the joint angles of the finger under a point of the page. */
  point(event: PointerEvent): void {
    const { left, top, width, height } = frame.getBoundingClientRect();
    const scale = Math.min(width / frame.width, height / frame.height); // the picture lies in the middle
    let x = (event.clientX - left - width / 2) / (scale * frame.width) + 0.5;
    const y = (event.clientY - top - height / 2) / (scale * frame.height) + 0.5;
    if (element("picture").classList.contains("mirrored")) x = 1 - x;
    const { hands } = this.shown;
    const hit = hands.length ? this.overlay.at(x, y) : null;
    showAngles(hit && { hand: hands[hit.hand], vertex: hit.vertex }, this.model);
  }

  async showTimings(): Promise<void> {
    showTimings(await this.engine.timings());
  }

  saveJson(): void {
    download(`${this.shown.name}_hands.json`, jsonOf(this.shown, this.model), "application/json");
  }

  savePly(): void {
    download(`${this.shown.name}.ply`, plyOf(this.shown.hands, this.faces), "model/ply");
  }

  async saveGlb(): Promise<void> {
    download(`${this.shown.name}.glb`, await glbOf(this.shown.hands, this.faces), "model/gltf-binary");
  }

  async saveRecording(): Promise<void> {
    const { recording } = this;
    download(`${recording.name}_animated.glb`, await recording.toGlb(this.model, this.faces), "model/gltf-binary");
  }

  private leave(): void {
    this.source?.close();
    this.source = null;
    press(record, false);
    press(freeze, false);
    this.showRecording();
    saySpeed("");
    this.goOn();
  }

  private setKind(source: Opened): void {
    const live = isVideo(source) && source.live;
    element("picture").classList.toggle("mirrored", live);
    element("photo").hidden = !live;
    freeze.disabled = record.disabled = !isVideo(source);
    enable(true);
  }

  private async lookAgain(): Promise<void> {
    this.again = true;
    if (this.looking) return; // what is looking goes on with this
    this.looking = true;
    while (this.again && this.source && !isVideo(this.source)) {
      this.again = false;
      const request = this.request;
      await this.look(this.source).catch((error: unknown) => request === this.request && sayError(messageOf(error)));
    }
    this.looking = false;
  }

  private async look(picture: OpenedPicture): Promise<void> {
    const { name, bitmap } = picture;
    if (this.shown.name !== name) this.show(bitmap, name, []);
    sayStatus(`${name}: looking for hands…`);
    const start = performance.now();
    const copy = await createImageBitmap(bitmap);
    const hands = await this.engine.find(transfer(copy, [copy]), settings());
    if (this.source !== picture || this.again) return;
    this.show(bitmap, name, hands);
    sayStatus(`${name}: ${counted(hands.length)}`);
    saySpeed(`in ${Math.round(performance.now() - start)} ms`);
  }

  private async follow(source: OpenedVideo): Promise<void> {
    const { name, live } = source;
    await this.engine.startTracking();
    if (!live) this.toggleRecording(true);
    let mean_ms = 0;
    try {
      for await (const { bitmap, time_s } of source.frames()) {
        while (isPressed(freeze) && this.source === source) await new Promise<void>((resolve) => (this.goOn = resolve));
        const copy = await createImageBitmap(bitmap);
        if (this.source !== source) return [bitmap, copy].forEach((one) => one.close());
        const start = performance.now();
        const hands = await this.engine.track(transfer(copy, [copy]), time_s, settings());
        const passed = performance.now() - start;
        mean_ms = mean_ms ? mean_ms + MEAN_SHARE * (passed - mean_ms) : passed;
        if (this.source === source) {
          this.show(bitmap, name, hands);
          if (isPressed(record)) this.recording.add(hands, time_s);
          this.showRecording();
          sayStatus(`${name}: ${counted(hands.length)}`);
          saySpeed(`${Math.round(mean_ms)} ms a frame`);
        }
        bitmap.close();
      }
      if (live && this.source === source) sayError("The camera has stopped.");
    } finally {
      source.close();
      if (this.source === source) {
        freeze.disabled = record.disabled = true;
        this.toggleRecording(false);
      }
    }
  }

  private show(bitmap: ImageBitmap, name: string, hands: ShownHand[]): void {
    const { width, height } = bitmap;
    if (frame.width !== width || frame.height !== height) Object.assign(frame, { width, height });
    frame.getContext("2d")!.drawImage(bitmap, 0, 0);
    this.shown = { name, kFrom: settings().kFrom, width, height, hands };
    this.overlay.show(this.shown);
    this.space.show(this.shown);
    showHands(hands, this.model);
    element<HTMLButtonElement>("json").disabled = false;
    for (const id of ["glb", "ply"]) element<HTMLButtonElement>(id).disabled = !hands.length;
  }

  private showRecording(): void {
    const { duration_s } = this.recording;
    element("recording").textContent = duration_s
      ? `${isPressed(record) ? "Recording" : "Recorded"} ${duration_s.toFixed(1)} s`
      : "";
    element<HTMLButtonElement>("animated").disabled = !duration_s;
  }
}

function counted(hands: number): string {
  return hands === 0 ? "no hand" : hands === 1 ? "1 hand" : `${hands} hands`;
}
