/** The 21 joints of a hand, in FreiHAND's order. */

import { FINGERS } from "./skeleton";

export const JOINT_NAMES: readonly string[] = [
  "wrist",
  ...FINGERS.flatMap((finger) => [1, 2, 3, 4].map((part) => `${finger}_${part}`)),
];
export const NUM_JOINTS = JOINT_NAMES.length;

/** From the wrist to the tip. */
const MIDDLE_FINGER = [0, 9, 10, 11, 12];
const [WRIST, MIDDLE_KNUCKLE] = MIDDLE_FINGER;

/** Radians by which a hand leans clockwise from upright; points (21, 2), y down. */
export function lean(points_px: Float64Array): number {
  const x = points_px[2 * MIDDLE_KNUCKLE] - points_px[2 * WRIST];
  const y = points_px[2 * MIDDLE_KNUCKLE + 1] - points_px[2 * WRIST + 1];
  return Math.atan2(x, -y);
}

/** From the wrist along the bones to the tip of the middle finger; joints (21, 3). */
export function handLength(joints_m: Float64Array): number {
  let length = 0;
  for (let part = 1; part < MIDDLE_FINGER.length; part++) {
    const from = 3 * MIDDLE_FINGER[part - 1];
    const to = 3 * MIDDLE_FINGER[part];
    length += Math.hypot(
      joints_m[to] - joints_m[from],
      joints_m[to + 1] - joints_m[from + 1],
      joints_m[to + 2] - joints_m[from + 2],
    );
  }
  return length;
}
