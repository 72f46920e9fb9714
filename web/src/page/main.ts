/** The page: what is shown, and what its buttons do. */

import { proxy, transfer, wrap, type Remote } from "comlink";
import type { Engine, EngineInfo, Settings } from "../engine/engine";
import type { ShownHand } from "../engine/results";
import { HandModel } from "../hand/handModel";
import { element, messageOf, sayError, sayStatus } from "./dom";
import { download, glbOf, jsonOf, plyOf } from "./files";
import { showAngles, showHands, showTimings } from "./hands";
import { Overlay } from "./overlay";
import { Recording } from "./rig";
import { openSample, openSampleClip, SAMPLES } from "./samples";
import { openCamera, openClip, openPicture, type OpenedPicture, type OpenedVideo } from "./sources";
import { Space } from "./space";

const USUAL_FOV_DEG = 65; // of the main cameras of phones
const UNKNOWN_LENGTH_CM = 9; // lowest value of the slider, which stands for a length that is not known
const MEAN_SHARE = 0.1; // of the newest frame in the mean time

const frame = element<HTMLCanvasElement>("frame");
const fov = element<HTMLInputElement>("fov");
const handLength = element<HTMLInputElement>("length");
const freeze = element<HTMLButtonElement>("freeze");
const record = element<HTMLButtonElement>("record");
const takePhoto = element<HTMLButtonElement>("photo");

class Page {
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
  async open(opener: () => Promise<OpenedPicture | OpenedVideo>): Promise<void> {
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

  /** A slider was moved: look again with what it says now. */
  async settingsChanged(): Promise<void> {
    showSettings(this.settings);
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
    showSettings(this.settings);
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
    takePhoto.hidden = !live;
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

function showSettings({ K, fov_deg, handLength_m }: Settings): void {
  element("fovValue").textContent = K ? "known" : `${fov_deg}°`;
  element("lengthValue").textContent = handLength_m === null ? "not known" : `${(100 * handLength_m).toFixed(1)} cm`;
}

function openFile(file: File): Promise<OpenedPicture | OpenedVideo> {
  return file.type.startsWith("video/") ? openClip(file) : openPicture(file, file.name);
}

function listen(page: Page): void {
  const files = element<HTMLInputElement>("file");
  files.addEventListener("change", () => {
    const [file] = files.files ?? [];
    files.value = ""; // the same file can be opened again
    if (file) void page.open(() => openFile(file));
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    const [file] = event.dataTransfer?.files ?? [];
    if (file) void page.open(() => openFile(file));
    else sayError("That is no file of this machine. Save the picture first, then drop the file.");
  });
  element("timings").addEventListener("toggle", () => void page.showTimings());
  element("camera").addEventListener("click", () => void page.open(openCamera));
  takePhoto.addEventListener("click", () => void page.takePhoto());
  for (const slider of [fov, handLength]) slider.addEventListener("input", () => void page.settingsChanged());
  freeze.addEventListener("click", () => page.toggleFreeze());
  record.addEventListener("click", () => page.toggleRecording());
  element("json").addEventListener("click", () => page.saveJson());
  element("ply").addEventListener("click", () => page.savePly());
  element("glb").addEventListener("click", () => void page.saveGlb());
  element("picture").addEventListener("pointermove", (event) => page.point(event));
  element("picture").addEventListener("pointerleave", () => showAngles(null, null));
  element("clip").addEventListener("click", () => void page.open(openSampleClip));
  for (const sample of SAMPLES) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(Object.assign(new Image(), { src: sample.url, alt: `Sample: ${sample.name}` }));
    button.addEventListener("click", () => void page.open(() => openSample(sample)));
    element("samples").append(button);
  }
}

function describe({ threads, providers }: EngineInfo): string {
  if (Object.values(providers).includes("webgpu")) return "on WebGPU";
  return threads > 1 ? `with ${threads} threads` : "with one thread: the server does not allow more (docs/web.md)";
}

async function start(): Promise<void> {
  const progress = element<HTMLProgressElement>("progress");
  progress.hidden = false;
  sayStatus("Loading the networks…");
  const worker = new Worker(new URL("../engine/worker.ts", import.meta.url), { type: "module" });
  const engine = wrap<Engine>(worker);
  fov.value = String(USUAL_FOV_DEG);
  const info = await engine.load(
    proxy(({ loaded, total }) => {
      if (total) Object.assign(progress, { value: loaded, max: total });
      sayStatus(`Loading the networks… ${(loaded / 1e6).toFixed(1)} MB`);
    }),
  );
  const model = new HandModel(info.handModel);
  const faces = Uint16Array.from(model.faces);
  const page = new Page(
    engine,
    model,
    new Overlay(element("overlay"), faces),
    new Space(element("space"), faces),
    faces,
  );
  progress.hidden = true;
  showSettings(page.settings);
  listen(page);
  sayStatus(`Ready, ${describe(info)}. Open a photo or a clip, drop one here, or try a sample.`);
  document.body.dataset.ready = "true";
}

start().catch((error: unknown) => {
  element("progress").hidden = true;
  sayStatus("");
  const reason = messageOf(error);
  sayError(/webgl/i.test(reason) ? "This browser shows no WebGL, which draws the hands. Turn on hardware acceleration." : `The page cannot start: ${reason}`);
});
