/** What runs the networks: WebGPU where it is faster and says the same, else WebAssembly with as many threads as it may. */

import { OnnxModel, type Input, type Runtime } from "../hand/runtime";
import { RUNTIMES } from "./assets";

const MOST_THREADS = 4; // networks this small gain nothing from more
const RUNS = 3;
const TOLERANCE = 0.02; // largest difference of outputs, of the largest output

export type Provider = keyof typeof RUNTIMES;

/** ONNX Runtime, and what it may use. */
export interface Processor {
  runtime: Runtime;
  threads: number;
  hasGpu: boolean;
}

/** Load ONNX Runtime. Threads need a page that is cross-origin isolated: otherwise there is one. */
export async function openProcessor(): Promise<Processor> {
  const hasGpu = await findsGpu();
  const runtime: Runtime = hasGpu ? await import("onnxruntime-web/webgpu") : await import("onnxruntime-web/wasm");
  const threads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, MOST_THREADS) : 1;
  runtime.env.wasm.wasmPaths = RUNTIMES[hasGpu ? "webgpu" : "wasm"];
  runtime.env.wasm.numThreads = threads;
  return { runtime, threads, hasGpu };
}

/** Open a network where it runs best, by what both say of an input and how long they take. */
export async function openNetwork(
  { runtime, hasGpu }: Processor,
  content: Uint8Array,
  input: Input,
): Promise<{ network: OnnxModel; provider: Provider }> {
  const network = await OnnxModel.open(runtime, content, "wasm");
  const expected = await network.run({ image: input }); // also warms up
  if (hasGpu) {
    try {
      const other = await OnnxModel.open(runtime, content, "webgpu");
      const same = agree(await other.run({ image: input }), expected);
      if (same && (await duration(other, input)) < (await duration(network, input))) {
        await network.release();
        return { network: other, provider: "webgpu" };
      }
      await other.release();
    } catch (error) {
      console.info("WebGPU cannot run a network:", error); // WebAssembly can
    }
  }
  return { network, provider: "wasm" };
}

async function findsGpu(): Promise<boolean> {
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    return Boolean(adapter && !adapter.info.isFallbackAdapter); // that would be a processor which emulates one
  } catch {
    return false;
  }
}

function agree(found: Record<string, ArrayLike<number>>, expected: Record<string, ArrayLike<number>>): boolean {
  return Object.entries(expected).every(([name, values]) => {
    const largest = Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
    return Array.from(values).every((value, at) => Math.abs(value - found[name][at]) <= TOLERANCE * largest);
  });
}

async function duration(network: OnnxModel, image: Input): Promise<number> {
  const start = performance.now();
  for (let run = 0; run < RUNS; run++) await network.run({ image });
  return performance.now() - start;
}
