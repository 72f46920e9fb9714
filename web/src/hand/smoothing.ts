/**
 * Poses over time without their jitter: one-euro filters (Casiez et al. 2012) on place, turn and joint angles, and one
 * size and shape for a hand.
 *
 * What rests is smoothed more than what moves: a slow hand does not shake, and a fast one is not late.
 */

import { OneEuroFilter } from "1eurofilter";

import { quaternionOf, rotationOf } from "./linear";
import type { HandPose } from "./pose";

export const AWAY_SECONDS = 0.5; // for which a hand that is not seen is shown; later it is smoothed anew when it comes back
const RATE_HZ = 30; // before two times are known
// Cut-offs in hertz at rest, and how much they rise with the speed. What is not late by itself can be smoother.
const CUTOFFS = { place: [2.5, 30], depth: [0.8, 8], turn: [2.5, 5], angles: [2, 1.5] } as const;

/** Size and shape of one hand: means over its frames. */
export class Build {
  private weight = 0;
  private logSize = 0;
  private shape = new Float64Array();

  /** Take in a frame; `weight` is its own in the means. */
  learn({ numbers }: HandPose, weight: number): void {
    this.weight += weight;
    const share = weight / this.weight;
    this.logSize += share * (Math.log(numbers.size) - this.logSize);
    this.shape = Float64Array.from(numbers.shape, (value, index) => {
      const mean = this.shape[index] ?? 0;
      return mean + share * (value - mean);
    });
  }

  /** The pose with this size and shape; it stays where it is in the picture. */
  built(pose: HandPose): HandPose {
    const built = pose.with({ size: Math.exp(this.logSize), shape: this.shape });
    const larger = built.length_m / pose.length_m;
    return built.with({ wristPosition_m: pose.numbers.wristPosition_m.map((value) => value * larger) });
  }
}

/** The filters of one hand. */
export class PoseFilter {
  private readonly filters = new Map<string, OneEuroFilter[]>();
  private quaternion: Float64Array | null = null;
  private time_s = -Infinity;

  /** The smoothed pose at a time, later than that of the call before. */
  smooth(pose: HandPose, time_s: number): HandPose {
    if (time_s - this.time_s > AWAY_SECONDS) {
      this.filters.clear();
      this.quaternion = null;
    }
    this.time_s = time_s;
    const [x, y, z] = pose.numbers.wristPosition_m;
    const [right, down] = this.filtered("place", Float64Array.of(x / z, y / z), time_s);
    const depth_m = Math.exp(this.filtered("depth", Float64Array.of(Math.log(z)), time_s)[0]);
    this.quaternion = nearer(quaternionOf(pose.numbers.wristRotation), this.quaternion);
    return pose.with({
      angles: this.filtered("angles", pose.numbers.angles, time_s),
      wristRotation: rotationOf(this.filtered("turn", this.quaternion, time_s)),
      wristPosition_m: Float64Array.of(depth_m * right, depth_m * down, depth_m),
    });
  }

  private filtered(name: keyof typeof CUTOFFS, values: Float64Array, time_s: number): Float64Array {
    const [least, slope] = CUTOFFS[name];
    const filters = this.filters.get(name) ?? [...values].map(() => new OneEuroFilter(RATE_HZ, least, slope));
    this.filters.set(name, filters);
    return values.map((value, index) => filters[index].filter(value, time_s));
  }
}

/** Of the two quaternions of a rotation, the one on the side of another quaternion. */
function nearer(quaternion: Float64Array, other: Float64Array | null): Float64Array {
  const cosine = other === null ? 1 : quaternion.reduce((sum, value, index) => sum + value * other[index], 0);
  return cosine < 0 ? quaternion.map((value) => -value) : quaternion;
}
