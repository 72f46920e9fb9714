/** Boxes (4,) around points: left, top, right, bottom, pixels. */

/** Of the smaller box inside of the larger, from which on two hands are one. */
export const SAME_HAND_SHARE = 0.6;

/** The box around points (N, 2). */
export function boxAround(points_px: Float64Array): Float64Array {
  const box = Float64Array.of(Infinity, Infinity, -Infinity, -Infinity);
  for (let index = 0; index < points_px.length; index++) {
    const axis = index % 2;
    box[axis] = Math.min(box[axis], points_px[index]);
    box[axis + 2] = Math.max(box[axis + 2], points_px[index]);
  }
  return box;
}

/** The longer side of a box. */
export function longerSide(box: Float64Array): number {
  return Math.max(box[2] - box[0], box[3] - box[1]);
}

/** Which share of the smaller of two boxes lies in the larger. */
export function containment(box: Float64Array, other: Float64Array): number {
  return commonArea(box, other) / Math.max(Math.min(area(box), area(other)), 1e-9);
}

/** Intersection over union of two boxes. */
export function overlap(box: Float64Array, other: Float64Array): number {
  const common = commonArea(box, other);
  return common / Math.max(area(box) + area(other) - common, 1e-9);
}

function commonArea(box: Float64Array, other: Float64Array): number {
  const width = Math.min(box[2], other[2]) - Math.max(box[0], other[0]);
  const height = Math.min(box[3], other[3]) - Math.max(box[1], other[1]);
  return Math.max(width, 0) * Math.max(height, 0);
}

function area(box: Float64Array): number {
  return (box[2] - box[0]) * (box[3] - box[1]);
}
