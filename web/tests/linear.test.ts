import { describe, expect, test } from "vitest";

import {
  determinant, IDENTITY, meanPoint, multiply, nearestRotation, norm, project, quaternionOf, rotationByVector,
  rotationOf, transformPoints, transpose,
} from "../src/hand/linear";
import { farthest, Random } from "./support";

const SEEDS = Array.from({ length: 20 }, (_, index) => 1000 + 77 * index);

describe.each(SEEDS)("numbers of seed %i", (seed) => {
  const random = new Random(seed);
  const vector = random.vector(3, -1.8, 1.8); // no longer than half a turn
  const rotation = rotationByVector(vector);

  test("rotations are rotations", () => {
    expect(farthest(multiply(rotation, transpose(rotation)), IDENTITY)).toBeLessThan(1e-12);
    expect(determinant(rotation)).toBeCloseTo(1, 12);
    const axis = vector.map((value) => value / norm(vector));
    expect(farthest(transformPoints(rotation, axis), axis)).toBeLessThan(1e-12);
    expect(1 + 2 * Math.cos(norm(vector))).toBeCloseTo(rotation[0] + rotation[4] + rotation[8], 12);
  });

  test("small rotations are cross products", () => {
    const tiny = vector.map((value) => value * 1e-7);
    const point = random.vector(3);
    const [x, y, z] = tiny;
    const [a, b, c] = point;
    const turned = Float64Array.of(a + y * c - z * b, b + z * a - x * c, c + x * b - y * a);
    expect(farthest(transformPoints(rotationByVector(tiny), point), turned)).toBeLessThan(1e-12);
  });

  test("quaternions say the same as matrices", () => {
    const quaternion = quaternionOf(rotation);
    expect(norm(quaternion)).toBeCloseTo(1, 12);
    expect(quaternion[0]).toBeGreaterThanOrEqual(0);
    expect(farthest(rotationOf(quaternion), rotation)).toBeLessThan(1e-12);
    expect(farthest(rotationOf(quaternion.map((value) => -3 * value)), rotation)).toBeLessThan(1e-12);
    expect(quaternion[0]).toBeCloseTo(Math.cos(norm(vector) / 2), 12);
  });

  test("half turns have quaternions", () => {
    const axis = vector.map((value) => value / norm(vector));
    const half = rotationByVector(axis.map((value) => value * (Math.PI - 1e-10)));
    expect(farthest(rotationOf(quaternionOf(half)), half)).toBeLessThan(1e-9);
  });

  test("the nearest rotation of turned points is that turn, and never a mirror image", () => {
    const points = random.vector(15);
    const scale = random.uniform(0.3, 3);
    const found = nearestRotation(points, transformPoints(rotation, points, scale, random.vector(3)));
    expect(farthest(found.rotation, rotation)).toBeLessThan(1e-9);
    expect(found.scale).toBeCloseTo(scale, 9);
    const mirrored = points.map((value, index) => (index % 3 === 0 ? -value : value));
    expect(determinant(nearestRotation(points, mirrored).rotation)).toBeCloseTo(1, 9);
  });

  test("projected points lie on their rays", () => {
    const points = random.vector(9).map((value, index) => (index % 3 === 2 ? value + 2 : value));
    const pixels = project(points, Float64Array.of(500, 0, 320, 0, 400, 240, 0, 0, 1));
    expect(pixels[2]).toBeCloseTo(320 + (500 * points[3]) / points[5], 9);
    expect(pixels[5]).toBeCloseTo(240 + (400 * points[7]) / points[8], 9);
    expect(meanPoint(points)[1]).toBeCloseTo((points[1] + points[4] + points[7]) / 3, 12);
  });
});

test("no turn is the identity", () => {
  expect(farthest(rotationByVector(new Float64Array(3)), IDENTITY)).toBe(0);
  expect([...quaternionOf(IDENTITY)]).toEqual([1, 0, 0, 0]);
  expect(farthest(rotationOf(Float64Array.of(1, 0, 0, 0)), IDENTITY)).toBe(0);
});
