/** The mesh network's file: what is known about it beside its weights. */

import { PbfReader } from "pbf";
import type { Calibration } from "./confidence";

/** What callers have to know about a kind of network; `handmesh/network.py` says more. */
interface Traits {
  margin: number;
  far_margin: number | null;
  upright: boolean;
  knows_sides: boolean;
  registration: string;
}

/** The metadata that the export phase writes. */
export interface Description {
  name: string;
  traits: Traits;
  size_px: number;
  mean: number;
  std: number;
  /** Triangles of a right hand, outward. */
  faces: number[][];
  /** Joints from vertices: numbers of joints, of vertices, and weights. */
  joint_regressor: { shape: [number, number]; rows: [number[], number[], number[]] };
  calibration: Calibration;
}

const METADATA = 14; // number of `metadata_props` in ONNX's ModelProto, whose entries are a key, 1, and a value, 2
const NEEDED = ["name", "traits", "size_px", "mean", "std", "faces", "joint_regressor", "calibration"];

/** Read the description out of an ONNX file. Throws where it is not a network of this project that a page can use. */
export function readDescription(content: Uint8Array): Description {
  const values: Record<string, unknown> = {};
  new PbfReader(content).readFields((tag, _result, file) => {
    if (tag !== METADATA) return;
    const entry = file.readMessage(readEntry, { key: "", value: "" });
    if (NEEDED.includes(entry.key)) values[entry.key] = JSON.parse(entry.value);
  }, null);
  const missing = NEEDED.filter((name) => !(name in values));
  if (missing.length) throw new Error(`the mesh network's file does not say ${missing.join(", ")}: export it again`);
  const description = values as unknown as Description;
  const { upright, registration, knows_sides } = description.traits;
  if (!upright || !knows_sides || registration !== "landmarks") {
    throw new Error(`${description.name}: the page needs a network like cmr_mobile, for upright crops, that tells sides`);
  }
  return description;
}

function readEntry(tag: number, entry: { key: string; value: string }, file: PbfReader): void {
  if (tag === 1) entry.key = file.readString();
  if (tag === 2) entry.value = file.readString();
}
