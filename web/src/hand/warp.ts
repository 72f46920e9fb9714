/** Cutting a square out of a picture, however it is turned, without the flicker of skipped pixels. */

import { inverse, moved } from "./homography";
import { multiply } from "./linear";
import type { Picture } from "./types";

/** A colour image: red, green and blue of each pixel, row by row. */
export interface Pixels {
  width: number;
  height: number;
  data: Uint8ClampedArray;
}

/** A rectangle of pixels of a picture. */
export interface Part {
  left: number;
  top: number;
  width: number;
  height: number;
}

/**
 * The square (size, size) that a homography leads to, black outside of the picture.
 *
 * @param toCrop pixel of the picture to pixel of the crop.
 */
export function cutSquare(picture: Picture, toCrop: Float64Array, size: number): Pixels {
  const back = inverse(toCrop);
  const last = size - 1;
  const [start, below, beside] = [moved(back, 0, 0), moved(back, 0, last), moved(back, last, 0)];
  const corners = [start, below, beside, moved(back, last, last)];
  const side = Math.max(Math.hypot(below[0] - start[0], below[1] - start[1]), Math.hypot(beside[0] - start[0], beside[1] - start[1]));
  const step = Math.max(Math.floor(side / size), 1); // pixels of the picture that are averaged first
  const [left, width] = range(corners.map((corner) => corner[0]), picture.width, step);
  const [top, height] = range(corners.map((corner) => corner[1]), picture.height, step);
  const part = { left, top, width: Math.min(step * width, picture.width - left), height: Math.min(step * height, picture.height - top) };
  const small = resized(picture, part, width, height);
  const placed = Float64Array.of(step, 0, left + (step - 1) / 2, 0, step, top + (step - 1) / 2, 0, 0, 1);
  return warped(small, inverse(multiply(toCrop, placed)), size);
}

/** The pixels of a picture that coordinates along one axis need: the first, and how many steps. */
function range(coordinates: number[], length: number, step: number): [number, number] {
  const low = Math.min(Math.max(Math.floor(Math.min(...coordinates)) - 2, 0), length - 1);
  const high = Math.min(Math.max(Math.ceil(Math.max(...coordinates)) + 2 + step, low + 1), length);
  return [low, Math.max(Math.floor((high - low) / step), 1)];
}

/** What pixels of an image add to the pixels of a resized row: for each of these, where its sources begin, and weights. */
interface Share {
  first: number;
  weights: number[];
}

/** Shares of `from` pixels in `to`: each its part of the area where there are fewer, else between the nearest two. */
function shares(from: number, to: number): Share[] {
  const step = from / to;
  return Array.from({ length: to }, (_, index) => {
    if (step <= 1) {
      const at = Math.min(Math.max((index + 0.5) * step - 0.5, 0), from - 1);
      const first = Math.min(Math.floor(at), Math.max(from - 2, 0));
      return { first, weights: from > 1 ? [1 - at + first, at - first] : [1] };
    }
    const [low, high] = [index * step, Math.min((index + 1) * step, from)];
    const first = Math.floor(low);
    const count = Math.max(Math.ceil(high) - first, 1);
    const weights = Array.from({ length: count }, (_, k) => (Math.min(high, first + k + 1) - Math.max(low, first + k)) / step);
    return { first, weights };
  });
}

/** A part of a picture at another size. */
export function resized(picture: Picture, part: Part, width: number, height: number): Pixels {
  const columns = shares(part.width, width);
  const rows = shares(part.height, height);
  const data = new Uint8ClampedArray(3 * width * height);
  const line = new Float32Array(3 * width);
  const sum = new Float32Array(3 * width);
  let ready = -1; // source row that `line` holds
  rows.forEach((row, y) => {
    sum.fill(0);
    row.weights.forEach((weight, k) => {
      if (ready !== row.first + k) {
        ready = row.first + k;
        narrowed(picture, part, ready, columns, line);
      }
      for (let i = 0; i < sum.length; i++) sum[i] += weight * line[i];
    });
    data.set(sum, 3 * width * y); // rounds
  });
  return { width, height, data };
}

/** Resize one row of a part into `line`. */
function narrowed(picture: Picture, part: Part, row: number, columns: Share[], line: Float32Array): void {
  const start = 4 * ((part.top + row) * picture.width + part.left);
  columns.forEach(({ first, weights }, x) => {
    let [red, green, blue] = [0, 0, 0];
    for (let k = 0; k < weights.length; k++) {
      const at = start + 4 * (first + k);
      red += weights[k] * picture.data[at];
      green += weights[k] * picture.data[at + 1];
      blue += weights[k] * picture.data[at + 2];
    }
    line[3 * x] = red;
    line[3 * x + 1] = green;
    line[3 * x + 2] = blue;
  });
}

/** Bilinear samples (size, size) of an image, black outside. */
function warped(image: Pixels, toImage: Float64Array, size: number): Pixels {
  const { width, height, data: source } = image;
  const data = new Uint8ClampedArray(3 * size * size);
  for (let v = 0; v < size; v++) {
    for (let u = 0; u < size; u++) {
      const w = toImage[6] * u + toImage[7] * v + toImage[8];
      const x = (toImage[0] * u + toImage[1] * v + toImage[2]) / w;
      const y = (toImage[3] * u + toImage[4] * v + toImage[5]) / w;
      const [left, top] = [Math.floor(x), Math.floor(y)];
      if (!(left >= -1 && top >= -1 && left < width && top < height)) continue;
      const [right, down] = [x - left, y - top];
      const out = 3 * (v * size + u);
      for (let color = 0; color < 3; color++) {
        let value = 0;
        for (let dy = 0; dy < 2; dy++) {
          if (top + dy < 0 || top + dy >= height) continue;
          const share = dy ? down : 1 - down;
          const at = 3 * ((top + dy) * width + left) + color;
          if (left >= 0) value += share * (1 - right) * source[at];
          if (left + 1 < width) value += share * right * source[at + 3];
        }
        data[out + color] = value;
      }
    }
  }
  return { width: size, height: size, data };
}
