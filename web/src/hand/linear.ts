/** Vectors (3,), matrices (3, 3) row by row, and quaternions (4,), w, x, y, z, all as Float64Array. */

import { Matrix, SVD } from "ml-matrix";

/** The matrix that turns nothing. */
export const IDENTITY = Float64Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1);

const ZERO = new Float64Array(3);

/** The matrix product. */
export function multiply(first: Float64Array, second: Float64Array): Float64Array {
  const product = new Float64Array(9);
  for (let row = 0; row < 9; row += 3) {
    for (let column = 0; column < 3; column++) {
      product[row + column] =
        first[row] * second[column] + first[row + 1] * second[column + 3] + first[row + 2] * second[column + 6];
    }
  }
  return product;
}

/** The transposed matrix, which is the inverse of a rotation. */
export function transpose(matrix: Float64Array): Float64Array {
  const transposed = new Float64Array(9);
  for (let index = 0; index < 9; index++) transposed[index] = matrix[3 * (index % 3) + Math.floor(index / 3)];
  return transposed;
}

/** The determinant of a matrix. */
export function determinant(matrix: Float64Array): number {
  const [a, b, c, d, e, f, g, h, i] = matrix;
  return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
}

/** Points (N, 3), each `scale` times the matrix times the point, plus the offset (3,); written into `moved`. */
export function transformPoints(
  matrix: Float64Array,
  points: Float64Array,
  scale = 1,
  offset: Float64Array = ZERO,
  moved: Float64Array = new Float64Array(points.length),
): Float64Array {
  for (let at = 0; at < points.length; at += 3) {
    const x = scale * points[at];
    const y = scale * points[at + 1];
    const z = scale * points[at + 2];
    moved[at] = matrix[0] * x + matrix[1] * y + matrix[2] * z + offset[0];
    moved[at + 1] = matrix[3] * x + matrix[4] * y + matrix[5] * z + offset[1];
    moved[at + 2] = matrix[6] * x + matrix[7] * y + matrix[8] * z + offset[2];
  }
  return moved;
}

/** Mean (3,) of points (N, 3). */
export function meanPoint(points: Float64Array): Float64Array {
  const sum = new Float64Array(3);
  for (let at = 0; at < points.length; at++) sum[at % 3] += points[at];
  return sum.map((value) => (3 * value) / points.length);
}

/** Pixels (N, 2) of camera-space points (N, 3); intrinsics K. */
export function project(points_m: Float64Array, K: Float64Array): Float64Array {
  const homogeneous = transformPoints(K, points_m);
  return new Float64Array((2 * points_m.length) / 3).map((_, index) => {
    const point = 3 * Math.floor(index / 2);
    return homogeneous[point + (index % 2)] / homogeneous[point + 2];
  });
}

/** The rotation about a unit axis, by an angle in radians. */
export function rotationAbout(axis: Float64Array, angle: number): Float64Array {
  const x = axis[0];
  const y = axis[1];
  const z = axis[2];
  const sine = Math.sin(angle);
  const cosine = Math.cos(angle);
  const rest = 1 - cosine;
  const rotation = new Float64Array(9);
  rotation[0] = cosine + rest * x * x;
  rotation[1] = rest * x * y - sine * z;
  rotation[2] = rest * x * z + sine * y;
  rotation[3] = rest * x * y + sine * z;
  rotation[4] = cosine + rest * y * y;
  rotation[5] = rest * y * z - sine * x;
  rotation[6] = rest * x * z - sine * y;
  rotation[7] = rest * y * z + sine * x;
  rotation[8] = cosine + rest * z * z;
  return rotation;
}

/** The rotation by a rotation vector, axis times radians. */
export function rotationByVector(vector: Float64Array): Float64Array {
  const angle = norm(vector);
  return rotationAbout(scaled(vector, 1 / Math.max(angle, 1e-12)), angle);
}

/** The unit quaternion of a rotation, w not negative. */
export function quaternionOf(rotation: Float64Array): Float64Array {
  const [a, b, c, d, e, f, g, h, i] = rotation;
  // Row k is the quaternion times four times its number k; the longest is the most accurate.
  const rows = [
    Float64Array.of(1 + a + e + i, h - f, c - g, d - b),
    Float64Array.of(h - f, 1 + a - e - i, b + d, c + g),
    Float64Array.of(c - g, b + d, 1 - a + e - i, f + h),
    Float64Array.of(d - b, c + g, f + h, 1 - a - e + i),
  ];
  const best = rows.reduce((one, other) => (norm(other) > norm(one) ? other : one));
  return scaled(best, (best[0] < 0 ? -1 : 1) / norm(best));
}

/** The rotation of a quaternion of any length. */
export function rotationOf(quaternion: Float64Array): Float64Array {
  const vector = quaternion.subarray(1);
  const sine = norm(vector);
  return rotationAbout(scaled(vector, 1 / Math.max(sine, 1e-12)), 2 * Math.atan2(sine, quaternion[0]));
}

/** The rotation and the scale that bring points (N, 3) nearest to others, apart from a shift (Kabsch). */
export function nearestRotation(source: Float64Array, target: Float64Array): { rotation: Float64Array; scale: number } {
  const from = centered(source);
  const to = centered(target);
  const { leftSingularVectors, rightSingularVectors } = new SVD(to.transpose().mmul(from));
  const left = Float64Array.from(leftSingularVectors.to1DArray());
  const right = Float64Array.from(rightSingularVectors.transpose().to1DArray());
  if (determinant(multiply(left, right)) < 0) for (const at of [2, 5, 8]) left[at] *= -1; // else a mirror image
  return { rotation: multiply(left, right), scale: to.norm() / from.norm() };
}

/** The length of a vector of any dimension. */
export function norm(vector: Float64Array): number {
  return Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
}

function scaled(vector: Float64Array, factor: number): Float64Array {
  return vector.map((value) => value * factor);
}

function centered(points: Float64Array): Matrix {
  const mean = meanPoint(points);
  return Matrix.from1DArray(points.length / 3, 3, points.map((value, index) => value - mean[index % 3]));
}
