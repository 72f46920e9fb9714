import { describe, expect, test } from "vitest";

import type { Posture } from "../src/hand/handModel";
import { handLength } from "../src/hand/joints";
import {
  IDENTITY, meanPoint, multiply, norm, project, rotationByVector, rotationOf, transformPoints, transpose,
} from "../src/hand/linear";
import { HandPose, poseOf, type PoseNumbers } from "../src/hand/pose";
import { ANGLE_NAMES, BONES, FREE, PARENTS } from "../src/hand/skeleton";
import type { Side } from "../src/hand/types";
import { farthest, flat, model, Random, readGolden } from "./support";

interface SeenHand {
  side: Side;
  seen: { vertices_m: number[][]; landmarks_px: number[][]; landmark_confidence: number[]; K: number[][] };
  pose: {
    angles: number[];
    angle_deviations: number[];
    shape: number[];
    size: number;
    wrist_rotation: number[][];
    wrist_position_m: number[];
    joints_m: number[][];
    quaternions: number[][];
    length_m: number;
  };
  some_vertices_m: number[][];
}

const golden = readGolden<{
  skeleton: { bones: string[]; parents: number[]; angle_names: string[]; limits_deg: number[][] };
  hands: Record<string, SeenHand>;
}>("pose");
const K = Float64Array.of(480, 0, 111.5, 0, 480, 111.5, 0, 0, 1);
const DEGREE = Math.PI / 180;

function poseOfSeen({ side, seen }: SeenHand): HandPose {
  return poseOf(
    model, side, flat(seen.vertices_m), flat(seen.landmarks_px), flat(seen.landmark_confidence), flat(seen.K),
  );
}

function randomPosture(random: Random): Posture {
  return { angles: random.angles(), shape: new Float64Array(model.numShapes).map(() => random.normal(0.4)) };
}

/** A hand in front of the camera of `K`, held as one that was seen. */
function randomPose(random: Random, side: Side): HandPose {
  const { pose: held } = Object.values(golden.hands)[Math.floor(random.uniform(0, 4))];
  return new HandPose(model, {
    side,
    angles: flat(held.angles),
    angleDeviations: new Float64Array(FREE.length),
    shape: flat(held.shape),
    size: random.uniform(0.85, 1.15),
    wristRotation: rotationByVector(random.vector(3, -1.8, 1.8)),
    wristPosition_m: Float64Array.of(0.02, -0.03, random.uniform(0.4, 0.8)),
  });
}

function refitted(pose: HandPose): HandPose {
  const { side } = pose.numbers;
  return poseOf(model, side, pose.vertices_m, project(pose.joints_m, K), new Float64Array(21).fill(1), K);
}

/** Mean distance of vertices, wherever the hands are. */
function apart_m(one: HandPose, other: HandPose): number {
  const off = one.vertices_m.map((value, index) => value - other.vertices_m[index]);
  const mean = meanPoint(off);
  let sum = 0;
  for (let at = 0; at < off.length; at += 3) {
    sum += norm(off.slice(at, at + 3).map((value, axis) => value - mean[axis]));
  }
  return sum / model.numVertices;
}

test("the skeleton is that of the package", () => {
  expect(BONES).toEqual(golden.skeleton.bones);
  expect(PARENTS).toEqual(golden.skeleton.parents);
  expect(ANGLE_NAMES).toEqual(golden.skeleton.angle_names);
  const limits_deg = FREE.map(({ least, largest }) => [least / DEGREE, largest / DEGREE]);
  expect(farthest(flat(limits_deg), flat(golden.skeleton.limits_deg))).toBeLessThan(1e-9);
});

describe.each(Object.entries(golden.hands))("the hand %s", (_, hand) => {
  const pose = poseOfSeen(hand);
  const expected = hand.pose;

  test("has the angles that the package finds", () => {
    expect(farthest(pose.numbers.angles, expected.angles) / DEGREE).toBeLessThan(0.001);
    expect(farthest(pose.numbers.angleDeviations, expected.angle_deviations) / DEGREE).toBeLessThan(0.001);
    expect(pose.jointAngles_deg["index_pip_flexion"]).toBeCloseTo(
      expected.angles[ANGLE_NAMES.indexOf("index_pip_flexion")] / DEGREE, 1,
    );
  });

  test("has the size, the shape and the place", () => {
    expect(farthest(pose.numbers.shape, expected.shape)).toBeLessThan(1e-3);
    expect(pose.numbers.size).toBeCloseTo(expected.size, 4);
    expect(farthest(pose.numbers.wristRotation, flat(expected.wrist_rotation))).toBeLessThan(1e-4);
    expect(farthest(pose.numbers.wristPosition_m, expected.wrist_position_m)).toBeLessThan(1e-6);
    expect(pose.length_m).toBeCloseTo(expected.length_m, 4);
  });

  test("has the mesh, the joints and the turns of the bones", () => {
    expect(farthest(pose.joints_m, flat(expected.joints_m))).toBeLessThan(1e-6);
    const vertices = pose.vertices_m.filter((_value, index) => index % 150 < 3); // every 50th
    expect(farthest(vertices, flat(hand.some_vertices_m))).toBeLessThan(1e-6);
    expect(farthest(flat(pose.quaternions.map((one) => [...one])), flat(expected.quaternions))).toBeLessThan(1e-5);
  });
});

test.each([1, 2, 3, 4, 5])("derivatives are those of differences, seed %i", (seed) => {
  const posture = randomPosture(new Random(1000 * seed));
  const { derivatives } = model.points(posture);
  const columns = FREE.length + model.numShapes;
  const step = 1e-6;
  for (let column = 0; column < columns; column++) {
    const there = ([1, -1] as const).map((sign) => {
      const angles = posture.angles.map((value, index) => value + (index === column ? sign * step : 0));
      const shape = posture.shape.map((value, index) => value + (index + FREE.length === column ? sign * step : 0));
      return model.points({ angles, shape }).points;
    });
    const expected = there[0].map((value, index) => (value - there[1][index]) / (2 * step));
    expect(farthest(derivatives.filter((_, index) => index % columns === column), expected)).toBeLessThan(1e-7);
  }
});

test.each([1, 2, 3])("the points of a fit are those of the mesh, seed %i", (seed) => {
  const posture = randomPosture(new Random(1000 * seed));
  expect(farthest(model.points(posture).points, model.pointsOf(model.pose(posture)))).toBeLessThan(1e-12);
});

test("a hand at rest is the mean hand", () => {
  const angles = new Float64Array(FREE.length);
  const shape = new Float64Array(model.numShapes);
  const rest = model.rest(shape);
  const posed = model.pose({ angles, shape });
  expect(farthest(posed, rest.vertices)).toBeLessThan(1e-7); // weights are of single precision
  expect(handLength(model.jointsOf(rest.vertices))).toBeGreaterThan(0.15);
  expect(model.faces.every((vertex) => vertex < model.numVertices)).toBe(true);
});

describe.each(["right", "left"] as const)("a %s hand", (side) => {
  test.each([1, 2, 3, 4])("of an exact mesh has its exact pose, seed %i", (seed) => {
    const pose = randomPose(new Random(1000 * seed), side);
    const found = refitted(pose);
    const off = pose.numbers.angles.map((value, index) => Math.abs(value - found.numbers.angles[index]) / DEGREE);
    expect(off.sort()[off.length / 2]).toBeLessThan(1);
    expect(apart_m(found, pose)).toBeLessThan(0.0015);
  });

  test("turns its bones in the frame of its palm", () => {
    const pose = randomPose(new Random(99), side);
    const world: Float64Array[] = [];
    pose.rotations.forEach((rotation, bone) => {
      world.push(bone === 0 ? rotation : multiply(world[PARENTS[bone]], rotation));
      expect(farthest(rotationOf(pose.quaternions[bone]), rotation)).toBeLessThan(1e-7); // axes are of single precision
    });
    const rest = pose.restOrigins_m;
    const [first, second] = [BONES.indexOf("index_1"), BONES.indexOf("index_2")];
    const own = rest.slice(3 * second, 3 * second + 3).map((value, axis) => value - rest[3 * first + axis]);
    const bone = transformPoints(multiply(pose.numbers.wristRotation, world[first]), own);
    const seen = pose.joints_m.slice(18, 21).map((value, axis) => value - pose.joints_m[15 + axis]);
    const cosine = bone.reduce((sum, value, axis) => sum + value * seen[axis], 0) / norm(bone) / norm(seen);
    expect(Math.acos(cosine) / DEGREE).toBeLessThan(15); // joints of the annotation are not those that bones turn about
  });
});

test("a left hand is the mirror image of a right one", () => {
  const right = refitted(randomPose(new Random(5), "right"));
  const mirror = Float64Array.of(-1, 0, 0, 0, 1, 0, 0, 0, 1);
  const vertices = transformPoints(mirror, right.vertices_m);
  const points = project(right.joints_m, K).map((value, index) => (index % 2 === 0 ? 2 * K[2] - value : value));
  const left = poseOf(model, "left", vertices, points, new Float64Array(21).fill(1), K);
  const again = refitted(right);
  expect(farthest(left.numbers.angles, again.numbers.angles)).toBeLessThan(1e-9);
  expect(farthest(transformPoints(mirror, left.vertices_m), again.vertices_m)).toBeLessThan(1e-9);
  const turn = left.numbers.wristRotation;
  expect(farthest(multiply(turn, transpose(turn)), IDENTITY)).toBeLessThan(1e-9);
});

test("no joint leaves its limits", () => {
  const random = new Random(7);
  const pose = randomPose(random, "right");
  const vertices = pose.vertices_m.map((value) => value + random.normal(0.02));
  const found = poseOf(model, "right", vertices, project(pose.joints_m, K), new Float64Array(21).fill(1), K).numbers;
  FREE.forEach(({ least, largest }, index) => {
    expect(found.angles[index]).toBeGreaterThanOrEqual(least);
    expect(found.angles[index]).toBeLessThanOrEqual(largest);
  });
});

test("one landmark far off changes little", () => {
  const pose = randomPose(new Random(11), "right");
  const points = project(pose.joints_m, K);
  const expected = refitted(pose);
  points[16] += 80;
  points[17] += 80;
  const found = poseOf(model, "right", pose.vertices_m, points, new Float64Array(21).fill(1), K);
  expect(apart_m(found, expected)).toBeLessThan(0.0015);
});

test("what is not finite has no pose", () => {
  const hand = structuredClone(golden.hands["palm"]);
  hand.seen.landmarks_px[3][0] = NaN;
  expect(() => poseOfSeen(hand)).toThrow("not finite");
});

test("the numbers of a pose are enough to send it", () => {
  const pose = poseOfSeen(golden.hands["left"]);
  const sent: PoseNumbers = structuredClone(pose.numbers);
  expect(farthest(new HandPose(model, sent).vertices_m, pose.vertices_m)).toBe(0);
});
