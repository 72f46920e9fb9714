/** The files that the page loads: networks, the open hand, ONNX Runtime. */

import meshNetwork from "../../../handmesh/data/cmr_mobile.onnx?url";
import handLandmark from "../../../handmesh/data/hand_landmark.onnx?url";
import handModel from "../../../handmesh/data/hand_model.npz?url";
import palmDetection from "../../../handmesh/data/palm_detection.onnx?url";
import registration from "../../../handmesh/data/registration_landmarks.onnx?url";
import crop from "../../../images/palm_img.jpg?url";
import wasmGlue from "onnxruntime-web/ort-wasm-simd-threaded.mjs?url";
import wasm from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import gpuGlue from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url";
import gpuWasm from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url";

export const FILES = { palmDetection, handLandmark, meshNetwork, registration, handModel };
export const RUNTIMES = { wasm: { mjs: wasmGlue, wasm }, webgpu: { mjs: gpuGlue, wasm: gpuWasm } };
/** A hand that fills its picture, to compare processors with. */
export const CROP = crop;

/** What has been read of the files, for a progress bar; `total` is 0 where the server does not say. */
export interface Progress {
  loaded: number;
  total: number;
}

/**
 * Read files by name. Throws where one cannot be read, and says which.
 *
 * @param report called as they arrive.
 */
export async function readFiles<Name extends string>(
  urls: Record<Name, string>,
  report: (progress: Progress) => void,
): Promise<Record<Name, Uint8Array<ArrayBuffer>>> {
  const names = Object.keys(urls) as Name[];
  const progress = names.map((): Progress => ({ loaded: 0, total: 0 }));
  const contents = await Promise.all(
    names.map((name, index) =>
      readFile(urls[name], (part) => {
        progress[index] = part;
        const sum = (key: keyof Progress): number => progress.reduce((all, one) => all + one[key], 0);
        report({ loaded: sum("loaded"), total: progress.every((one) => one.total) ? sum("total") : 0 });
      }),
    ),
  );
  return Object.fromEntries(names.map((name, index) => [name, contents[index]])) as Record<Name, Uint8Array<ArrayBuffer>>;
}

async function readFile(url: string, report: (progress: Progress) => void): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(url);
  if (!response.ok || !response.body) throw new Error(`${url} cannot be read (${response.status})`);
  // The length of what is sent compressed is not that of what arrives.
  const total = response.headers.has("Content-Encoding") ? 0 : Number(response.headers.get("Content-Length"));
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let loaded = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    loaded += value.length;
    report({ loaded, total });
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
