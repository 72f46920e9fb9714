/** The start of the page, and what its buttons do. */

import { proxy, wrap } from "comlink";
import type { Engine, EngineInfo } from "../engine/engine";
import { HandModel } from "../hand/handModel";
import { element, messageOf, sayError, sayStatus } from "./dom";
import { showAngles } from "./hands";
import { Overlay } from "./overlay";
import { Page, type Opener } from "./page";
import { openSample, openSampleClip, SAMPLES } from "./samples";
import * as settings from "./settings";
import { openCamera, openClip, openPicture, type Opened } from "./sources";
import { Space } from "./space";

/** Open a file as what it says it is. */
function openFile(file: File): Promise<Opened> {
  return file.type.startsWith("video/") ? openClip(file) : openPicture(file, file.name);
}

/** Open the first of several files, and offer all beside the samples. */
function openFiles(page: Page, files: readonly File[]): void {
  if (files.length) void page.open(() => openFile(files[0]));
  if (files.length > 1) for (const file of files) offer(file.name, pictureOf(file), () => openFile(file), page);
}

/** A small picture of a file, or its name where it is none. */
function pictureOf(file: File): HTMLElement {
  const image = Object.assign(new Image(), { src: URL.createObjectURL(file), alt: file.name });
  image.addEventListener("load", () => URL.revokeObjectURL(image.src));
  image.addEventListener("error", () => {
    URL.revokeObjectURL(image.src);
    image.replaceWith(file.name);
  });
  return image;
}

/** Add a button beside the samples. */
function offer(name: string, content: HTMLElement, opener: Opener, page: Page): void {
  const button = Object.assign(document.createElement("button"), { type: "button", title: name });
  button.append(content);
  button.addEventListener("click", () => void page.open(opener));
  element("samples").append(button);
}

/** What is dropped before the page is ready would make the browser leave it. */
function listenToDrops(page: () => Page | null): void {
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    const dropped = [...(event.dataTransfer?.files ?? [])];
    const ready = page();
    if (!ready) sayError("The networks are still loading.");
    else if (dropped.length) openFiles(ready, dropped);
    else sayError("That is no file of this machine. Save the picture first, then drop the file.");
  });
}

function listen(page: Page): void {
  const files = element<HTMLInputElement>("file");
  files.addEventListener("change", () => {
    openFiles(page, [...(files.files ?? [])]);
    files.value = ""; // the same files can be opened again
  });
  const clicks: Record<string, () => unknown> = {
    camera: () => page.open(openCamera),
    photo: () => page.takePhoto(),
    clip: () => page.open(openSampleClip),
    freeze: () => page.toggleFreeze(),
    record: () => page.toggleRecording(),
    json: () => page.saveJson(),
    ply: () => page.savePly(),
    glb: () => page.saveGlb(),
    animated: () => page.saveRecording(),
  };
  for (const [id, act] of Object.entries(clicks)) element(id).addEventListener("click", () => void act());
  settings.listen(() => void page.settingsChanged());
  element("timings").addEventListener("toggle", () => void page.showTimings());
  element("picture").addEventListener("pointermove", (event) => page.point(event));
  element("picture").addEventListener("pointerleave", () => showAngles(null, null));
  for (const sample of SAMPLES) {
    const name = `Sample: ${sample.name}`;
    offer(name, Object.assign(new Image(), { src: sample.url, alt: name }), () => openSample(sample), page);
  }
}

function describe({ threads, providers }: EngineInfo): string {
  if (Object.values(providers).includes("webgpu")) return "on WebGPU";
  if (threads > 1) return `with ${threads} threads`;
  return self.crossOriginIsolated ? "with one thread" : "with one thread: the server does not allow more";
}

async function start(): Promise<void> {
  let page: Page | null = null;
  listenToDrops(() => page);
  const progress = element<HTMLProgressElement>("progress");
  progress.hidden = false;
  sayStatus("Loading the networks…");
  const worker = new Worker(new URL("../engine/worker.ts", import.meta.url), { type: "module" });
  const crashed = new Promise<never>((_, reject) => {
    worker.addEventListener("error", ({ message }) => reject(new Error(message || "its worker cannot be loaded")));
  });
  crashed.catch((error: unknown) => sayError(`The page has to be loaded again: ${messageOf(error)}.`));
  const engine = wrap<Engine>(worker);
  const loaded = engine.load(
    proxy(({ loaded, total }) => {
      if (total) Object.assign(progress, { value: loaded, max: total });
      element("speed").textContent = `${(loaded / 1e6).toFixed(1)} MB`;
    }),
  );
  const info = await Promise.race([loaded, crashed]);
  const model = new HandModel(info.handModel);
  const faces = Uint16Array.from(model.faces);
  page = new Page(engine, model, new Overlay(element("overlay"), faces), new Space(element("space"), faces), faces);
  listen(page);
  progress.hidden = true;
  element("speed").textContent = "";
  element<HTMLFieldSetElement>("sources").disabled = false;
  sayStatus(`Ready, ${describe(info)}. Open a photo or a clip, drop one here, or try a sample.`);
  document.body.dataset.ready = "true";
}

window.addEventListener("unhandledrejection", ({ reason }) => sayError(messageOf(reason)));
start().catch((error: unknown) => {
  element("progress").hidden = true;
  sayStatus("");
  const reason = messageOf(error);
  const noWebGl = "This browser shows no WebGL, which draws the hands. Turn on hardware acceleration.";
  sayError(/webgl/i.test(reason) ? noWebGl : `The page cannot start: ${reason}`);
});
