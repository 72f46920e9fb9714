/** The start of the page, and what its buttons do. */

import { proxy, wrap } from "comlink";
import type { Engine, EngineInfo } from "../engine/engine";
import { HandModel } from "../hand/handModel";
import { element, messageOf, sayError, sayStatus } from "./dom";
import { showAngles } from "./hands";
import { Overlay } from "./overlay";
import { Page, type Opener } from "./page";
import { openSample, openSampleClip, SAMPLES } from "./samples";
import { openCamera, openClip, openPicture, type OpenedPicture, type OpenedVideo } from "./sources";
import { Space } from "./space";

function openFile(file: File): Promise<OpenedPicture | OpenedVideo> {
  return file.type.startsWith("video/") ? openClip(file) : openPicture(file, file.name);
}

/** Open the first of several files, and offer all beside the samples. */
function openFiles(page: Page, files: readonly File[]): void {
  if (files.length) void page.open(() => openFile(files[0]));
  if (files.length < 2) return;
  for (const file of files) {
    const url = URL.createObjectURL(file);
    const button = offered(url, file.name, () => openFile(file), page);
    const [image] = button.children as unknown as HTMLImageElement[];
    image.addEventListener("load", () => URL.revokeObjectURL(url));
  }
}

/** A button with a small picture, beside the samples. */
function offered(url: string, name: string, opener: Opener, page: Page): HTMLElement {
  const button = Object.assign(document.createElement("button"), { type: "button", title: name });
  button.append(Object.assign(new Image(), { src: url, alt: name }));
  button.addEventListener("click", () => void page.open(opener));
  element("samples").append(button);
  return button;
}

function listen(page: Page): void {
  const files = element<HTMLInputElement>("file");
  files.addEventListener("change", () => {
    openFiles(page, [...(files.files ?? [])]);
    files.value = ""; // the same files can be opened again
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    const dropped = [...(event.dataTransfer?.files ?? [])];
    if (dropped.length) openFiles(page, dropped);
    else sayError("That is no file of this machine. Save the picture first, then drop the file.");
  });
  element("timings").addEventListener("toggle", () => void page.showTimings());
  element("camera").addEventListener("click", () => void page.open(openCamera));
  element("photo").addEventListener("click", () => void page.takePhoto());
  for (const slider of ["fov", "length"]) element(slider).addEventListener("input", () => void page.settingsChanged());
  element("freeze").addEventListener("click", () => page.toggleFreeze());
  element("record").addEventListener("click", () => page.toggleRecording());
  element("json").addEventListener("click", () => page.saveJson());
  element("ply").addEventListener("click", () => page.savePly());
  element("glb").addEventListener("click", () => void page.saveGlb());
  element("picture").addEventListener("pointermove", (event) => page.point(event));
  element("picture").addEventListener("pointerleave", () => showAngles(null, null));
  element("clip").addEventListener("click", () => void page.open(openSampleClip));
  for (const sample of SAMPLES) offered(sample.url, `Sample: ${sample.name}`, () => openSample(sample), page);
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
  page.showSettings();
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
