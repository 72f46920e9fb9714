/**
 * A hand's own camera: the picture's camera turned towards the hand, upright, and zoomed in.
 *
 * Cutting an off-centre square out of a picture shows the hand as no camera would that looks at it; turning the camera
 * does, and what is found in the turned camera's frame goes back by a rotation, exactly.
 */

import { boxAround, longerSide } from "./boxes";
import { lean } from "./joints";
import { allMoved, inverse } from "./homography";
import { multiply, rotationByVector, transformPoints, transpose } from "./linear";
import type { Picture } from "./types";
import { cutSquare, type Pixels } from "./warp";

const CENTERINGS = 3; // the middle of a box in one camera is not quite that in another
const LEAST_COSINE = Math.cos((80 * Math.PI) / 180); // of the largest angle from the optical axis

/** A camera at the same place as the picture's that looks at a hand. */
export class HandView {
  /**
   * @param rotation from the picture's camera frame to this one's.
   * @param K of the crop, which mirroring leaves as it is.
   * @param size side of the crop in pixels.
   * @param mirrored left and right exchanged, to show a left hand as a right one.
   */
  constructor(
    readonly rotation: Float64Array,
    readonly K: Float64Array,
    readonly size: number,
    readonly mirrored: boolean,
  ) {}

  /** What this camera sees (size, size), black outside of the picture, whose intrinsics are K. */
  cut(picture: Picture, K: Float64Array): Pixels {
    return cutSquare(picture, this.homography(K), this.size);
  }

  /** Points (N, 3) found in the crop, in the picture's camera frame. */
  toPictureFrame(points: Float64Array): Float64Array {
    const seen = this.mirrored ? points.map((value, at) => (at % 3 ? value : -value)) : points;
    return transformPoints(transpose(this.rotation), seen);
  }

  /** Pixels (N, 2) of the crop as pixels of the picture. */
  toPicture(points_px: ArrayLike<number>, K: Float64Array): Float64Array {
    return allMoved(inverse(this.homography(K)), points_px);
  }

  /** Pixel of the picture to pixel of the crop. */
  private homography(K: Float64Array): Float64Array {
    const toCrop = multiply(multiply(this.K, this.rotation), inverse(K));
    return this.mirrored ? multiply(Float64Array.of(-1, 0, this.size - 1, 0, 1, 0, 0, 0, 1), toCrop) : toCrop;
  }
}

/**
 * The camera that shows landmarks (21, 2) of a picture upright, in the middle, their box `1 / margin` of the side.
 *
 * @param K intrinsics of the picture.
 * @param size side of the crop in pixels.
 * @param mirrored show a left hand as a right one.
 */
export function viewOf(landmarks_px: Float64Array, K: Float64Array, size: number, margin: number, mirrored: boolean): HandView {
  const rays = allMoved(inverse(K), landmarks_px);
  let rotation = lookingAt(...middle(rays));
  let seen = rays;
  for (let round = 0; round < CENTERINGS; round++) {
    rotation = multiply(roll(lean(flat(rays, rotation))), rotation);
    seen = flat(rays, rotation);
    rotation = multiply(lookingAt(...middle(seen)), rotation);
  }
  const focal = size / (margin * Math.max(longerSide(boxAround(seen)), 1e-6));
  const center = (size - 1) / 2;
  return new HandView(rotation, Float64Array.of(focal, 0, center, 0, focal, center, 0, 0, 1), size, mirrored);
}

/** Rays (N, 2) at unit depth, turned, and again at unit depth. */
function flat(rays: Float64Array, rotation: Float64Array): Float64Array {
  const seen = new Float64Array(rays.length);
  for (let i = 0; i < rays.length; i += 2) {
    const [x, y] = [rays[i], rays[i + 1]];
    const at = (row: number): number => rotation[3 * row] * x + rotation[3 * row + 1] * y + rotation[3 * row + 2];
    const depth = Math.max(at(2), LEAST_COSINE);
    seen[i] = at(0) / depth;
    seen[i + 1] = at(1) / depth;
  }
  return seen;
}

function middle(points: Float64Array): [number, number] {
  const [left, top, right, bottom] = boxAround(points);
  return [(left + right) / 2, (top + bottom) / 2];
}

/** The smallest rotation that turns the ray (x, y, 1) to the optical axis. */
function lookingAt(x: number, y: number): Float64Array {
  const sine = Math.hypot(x, y);
  const angle = Math.atan2(sine, 1);
  const turn = sine > 1e-12 ? angle / sine : 0;
  return rotationByVector(Float64Array.of(y * turn, -x * turn, 0));
}

/** Rotation about the optical axis that turns what leans clockwise by an angle upright. */
function roll(angle: number): Float64Array {
  const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
  return Float64Array.of(cosine, sine, 0, -sine, cosine, 0, 0, 0, 1);
}
