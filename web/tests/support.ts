/** What several tests need. */

import { readFileSync } from "node:fs";

import { HandModel } from "../src/hand/handModel";
import { FREE } from "../src/hand/skeleton";

export function readFile(path: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(path, import.meta.url)));
}

export const model = new HandModel(readFile("../../handmesh/data/hand_model.npz"));

/** What the Python package said, see `scripts/web_golden.py`. */
export function readGolden<Kind>(name: string): Kind {
  return JSON.parse(new TextDecoder().decode(readFile(`golden/${name}.json`))) as Kind;
}

/** Numbers of lists, however nested, in a row. */
export function flat(values: unknown): Float64Array {
  return Float64Array.from([values].flat(Infinity) as number[]);
}

/** The largest difference of two rows of numbers; infinite where they differ in length or one is not finite. */
export function farthest(one: ArrayLike<number>, other: ArrayLike<number>): number {
  if (one.length !== other.length) return Infinity;
  let most = 0;
  for (let index = 0; index < one.length; index++) {
    const off = Math.abs(one[index] - other[index]);
    if (!(off <= most)) most = Number.isFinite(off) ? off : Infinity;
  }
  return most;
}

/** Random numbers that are the same in every run. */
export class Random {
  constructor(private state: number) {}

  /** Evenly from a range (the generator of Park and Miller). */
  uniform(least: number, largest: number): number {
    this.state = (this.state * 48271) % 2147483647;
    return least + ((largest - least) * this.state) / 2147483647;
  }

  /** With a mean of zero. */
  normal(deviation: number): number {
    return deviation * Math.sqrt(-2 * Math.log(this.uniform(0, 1))) * Math.cos(this.uniform(0, 2 * Math.PI));
  }

  vector(length: number, least = -1, largest = 1): Float64Array {
    return new Float64Array(length).map(() => this.uniform(least, largest));
  }

  /** Angles (D,) within the limits of the joints. */
  angles(): Float64Array {
    return Float64Array.from(FREE, ({ least, largest }) => this.uniform(least, largest));
  }
}
