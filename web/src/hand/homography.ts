/** Maps (3, 3) from the pixels of one image to those of another. */

import { determinant } from "./linear";

/** The map back. */
export function inverse(matrix: Float64Array): Float64Array {
  const [a, b, c, d, e, f, g, h, i] = matrix;
  const adjugate = Float64Array.of(
    e * i - f * h, c * h - b * i, b * f - c * e,
    f * g - d * i, a * i - c * g, c * d - a * f,
    d * h - e * g, b * g - a * h, a * e - b * d,
  );
  const scale = 1 / determinant(matrix);
  return adjugate.map((value) => value * scale);
}

/** Where a pixel comes to lie. */
export function moved(homography: Float64Array, x: number, y: number): [number, number] {
  const h = homography;
  const w = h[6] * x + h[7] * y + h[8];
  return [(h[0] * x + h[1] * y + h[2]) / w, (h[3] * x + h[4] * y + h[5]) / w];
}

/** Where pixels (N, 2) come to lie. */
export function allMoved(homography: Float64Array, points_px: ArrayLike<number>): Float64Array {
  const found = new Float64Array(points_px.length);
  for (let at = 0; at < found.length; at += 2) found.set(moved(homography, points_px[at], points_px[at + 1]), at);
  return found;
}
