/** The intrinsics of a picture's camera from its field of view. */

import type { Camera } from "./types";

/** A camera with the principal point in the middle; `fov_deg` is across the longer side. */
export function fromFov(width: number, height: number, fov_deg: number): Camera {
  const focal = Math.max(width, height) / 2 / Math.tan((fov_deg * Math.PI) / 360);
  return { K: Float64Array.of(focal, 0, (width - 1) / 2, 0, focal, (height - 1) / 2, 0, 0, 1) };
}
