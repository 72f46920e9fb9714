/** Networks as files: ONNX Runtime in the browser. */

import type { InferenceSession, Tensor, TypedTensor } from "onnxruntime-common";

/** ONNX Runtime, whichever of its builds was loaded. */
export type Runtime = typeof import("onnxruntime-web/wasm");

export type Arrays = Record<string, Float32Array | Float64Array>;

/** An input: its numbers and its shape. */
export interface Input {
  data: Float32Array | Float64Array;
  shape: number[];
}

/** An ONNX file that is called with arrays. */
export class OnnxModel {
  /** Mean duration of a call, and how many there were. */
  readonly timing = { ms: 0, calls: 0 };

  private constructor(
    private readonly runtime: Runtime,
    private readonly session: InferenceSession,
  ) {}

  /**
   * @param content of the file.
   * @param provider `wasm`, or `webgpu` with a runtime that has it.
   */
  static async open(runtime: Runtime, content: Uint8Array, provider: string): Promise<OnnxModel> {
    const options: InferenceSession.SessionOptions = { executionProviders: [provider], logSeverityLevel: 3 };
    return new OnnxModel(runtime, await runtime.InferenceSession.create(content, options));
  }

  /** Let go of its memory. */
  release(): Promise<void> {
    return this.session.release();
  }

  /** All outputs, by name. */
  async run(inputs: Record<string, Input>): Promise<Arrays> {
    const feeds: Record<string, Tensor> = {};
    for (const [name, { data, shape }] of Object.entries(inputs)) {
      feeds[name] =
        data instanceof Float64Array
          ? new this.runtime.Tensor("float64", data, shape)
          : new this.runtime.Tensor("float32", data, shape);
    }
    const start = performance.now();
    const found = await this.session.run(feeds);
    this.timing.calls += 1;
    this.timing.ms += (performance.now() - start - this.timing.ms) / this.timing.calls;
    const arrays: Arrays = {};
    for (const [name, tensor] of Object.entries(found)) {
      const data = tensor.data as TypedTensor<"float32" | "float64" | "bool">["data"];
      arrays[name] = data instanceof Uint8Array ? Float32Array.from(data) : data;
    }
    return arrays;
  }
}
