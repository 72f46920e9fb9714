/** From crops and their intrinsics to hands in camera space: network and registration. */

import { NUM_JOINTS } from "./joints";
import type { Description } from "./network";
import type { OnnxModel } from "./runtime";
import type { Hand } from "./types";
import type { Pixels } from "./warp";

const MESH_SCALE_M = 0.2; // the network predicts meshes in units of this, about the length of a hand

/** A hand in the frame of its crop's camera; pixels are those of the crop. */
export interface CropHand
  extends Pick<Hand, "vertices_m" | "joints_m" | "landmarks_px" | "landmarkConfidence" | "residual_px" | "success"> {
  /** Probability that it is of the other side than the network knows. */
  mirrored: number;
}

/** The mesh network with its registration. */
export class CropPredictor {
  constructor(
    readonly description: Description,
    private readonly network: OnnxModel,
    private readonly registration: OnnxModel,
  ) {}

  /** Predict hands from crops and their intrinsics. Throws where the network says what is not finite. */
  async predict(crops: Pixels[], K: Float64Array[]): Promise<CropHand[]> {
    const { size_px: size } = this.description;
    const count = crops.length;
    const input = new Float32Array(count * 3 * size * size);
    crops.forEach((crop, index) => this.fill(input, index, crop));
    const seen = await this.network.run({ image: { data: input, shape: [count, 3, size, size] } });
    if (!["mesh_pred_0", "uv_pred", "landmarks"].every((name) => seen[name].every(Number.isFinite))) {
      throw new Error(`${this.description.name} predicts values that are not finite; its weights cannot be used`);
    }
    const each = (name: string, index: number): Float64Array => {
      const length = seen[name].length / count;
      return Float64Array.from(seen[name].subarray(index * length, (index + 1) * length));
    };
    const hands: CropHand[] = [];
    for (let index = 0; index < count; index++) {
      const vertices = each("mesh_pred_0", index).map((value) => value * MESH_SCALE_M);
      const joints = this.jointsOf(vertices);
      const landmarks_px = each("landmarks", index);
      const landmarkConfidence = peaks(each("uv_pred", index));
      const place = await this.registration.run({
        joints: { data: joints, shape: [1, NUM_JOINTS, 3] },
        landmarks_px: { data: landmarks_px, shape: [1, NUM_JOINTS, 2] },
        confidence: { data: landmarkConfidence, shape: [1, NUM_JOINTS] },
        K: { data: K[index], shape: [1, 3, 3] },
        image_size: { data: Float64Array.of(size), shape: [] },
      });
      const offset = place["translation_m"];
      hands.push({
        vertices_m: vertices.map((value, i) => value + offset[i % 3]),
        joints_m: joints.map((value, i) => value + offset[i % 3]),
        landmarks_px,
        landmarkConfidence,
        residual_px: place["residual_px"][0],
        success: place["success"][0] !== 0,
        mirrored: each("mirrored", index)[0],
      });
    }
    return hands;
  }

  /** Write a crop into a batch (B, 3, S, S), normalised. */
  private fill(input: Float32Array, index: number, crop: Pixels): void {
    const { size_px: size, mean, std } = this.description;
    const plane = size * size;
    for (let color = 0; color < 3; color++) {
      const start = (3 * index + color) * plane;
      for (let i = 0; i < plane; i++) input[start + i] = (crop.data[3 * i + color] / 255 - mean) / std;
    }
  }

  private jointsOf(vertices: Float64Array): Float64Array {
    const [joints, sources, weights] = this.description.joint_regressor.rows;
    const found = new Float64Array(3 * NUM_JOINTS);
    weights.forEach((weight, k) => {
      for (let axis = 0; axis < 3; axis++) found[3 * joints[k] + axis] += weight * vertices[3 * sources[k] + axis];
    });
    return found;
  }
}

/** The maxima (21,) of heat maps. */
function peaks(heatmaps: Float64Array): Float64Array {
  const length = heatmaps.length / NUM_JOINTS;
  return Float64Array.from({ length: NUM_JOINTS }, (_, joint) =>
    heatmaps.subarray(joint * length, (joint + 1) * length).reduce((most, value) => Math.max(most, value)),
  );
}
