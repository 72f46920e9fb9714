import { expect, test } from "vitest";

import { rotationByVector, multiply } from "../src/hand/linear";
import { HandPose } from "../src/hand/pose";
import { FREE } from "../src/hand/skeleton";
import { Build, PoseFilter } from "../src/hand/smoothing";
import { farthest, flat, model, Random, readGolden } from "./support";

interface Numbers {
  angles: number[];
  shape: number[];
  size: number;
  wrist_rotation: number[][];
  wrist_position_m: number[];
}

const golden = readGolden<{
  frames: { time_s: number; weight: number; pose: Numbers; shown: Numbers }[];
  last_joints_m: number[][];
}>("smoothing");

function poseWith(numbers: Numbers): HandPose {
  return new HandPose(model, {
    side: "right",
    angles: flat(numbers.angles),
    angleDeviations: new Float64Array(FREE.length),
    shape: flat(numbers.shape),
    size: numbers.size,
    wristRotation: flat(numbers.wrist_rotation),
    wristPosition_m: flat(numbers.wrist_position_m),
  });
}

const resting = poseWith({
  angles: [...model.poseMean],
  shape: [...model.shapeMean],
  size: 1,
  wrist_rotation: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  wrist_position_m: [0, 0, 0.5],
});

/** A pose as networks see it: the larger a hand is taken for, the further away it is. */
function shaken(pose: HandPose, random: Random): HandPose {
  const { numbers } = pose;
  const larger = Math.exp(random.normal(0.03));
  const turn = rotationByVector(new Float64Array(3).map(() => random.normal(0.03)));
  return pose.with({
    angles: numbers.angles.map((value) => value + random.normal(0.03)),
    size: numbers.size * larger,
    wristRotation: multiply(turn, numbers.wristRotation),
    wristPosition_m: numbers.wristPosition_m.map((value) => value * larger * Math.exp(random.normal(0.01))),
  });
}

/** Mean over joints of how much velocities change from frame to frame. */
function unrest(poses: HandPose[]): number {
  let sum = 0;
  for (let frame = 32; frame < poses.length; frame++) {
    const [one, two, three] = [0, 1, 2].map((back) => poses[frame - back].joints_m);
    for (let joint = 0; joint < 63; joint += 3) {
      sum += Math.hypot(...[0, 1, 2].map((axis) => one[joint + axis] - 2 * two[joint + axis] + three[joint + axis]));
    }
  }
  return sum / (poses.length - 32) / 21;
}

test("a walk is smoothed as the package does", () => {
  const build = new Build();
  const filter = new PoseFilter();
  let last = resting;
  for (const { time_s, weight, pose, shown } of golden.frames) {
    build.learn(poseWith(pose), weight);
    last = filter.smooth(build.built(poseWith(pose)), time_s);
    expect(farthest(last.numbers.angles, shown.angles)).toBeLessThan(1e-5);
    expect(farthest(last.numbers.shape, shown.shape)).toBeLessThan(1e-5);
    expect(last.numbers.size).toBeCloseTo(shown.size, 5);
    expect(farthest(last.numbers.wristRotation, flat(shown.wrist_rotation))).toBeLessThan(1e-5);
    expect(farthest(last.numbers.wristPosition_m, shown.wrist_position_m)).toBeLessThan(1e-5);
  }
  expect(farthest(last.joints_m, flat(golden.last_joints_m))).toBeLessThan(1e-5);
});

test("a hand at rest does not shake", () => {
  const random = new Random(3);
  const noisy = Array.from({ length: 90 }, () => shaken(resting, random));
  const build = new Build();
  const filter = new PoseFilter();
  const quiet = noisy.map((pose, frame) => {
    build.learn(pose, 1);
    return filter.smooth(build.built(pose), frame / 30);
  });
  expect(unrest(quiet)).toBeLessThan(unrest(noisy) / 3);
  const sizes = quiet.slice(60).map((pose) => pose.numbers.size);
  expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThan(0.01);
  expect(farthest(quiet[89].joints_m, resting.joints_m)).toBeLessThan(0.02);
});

test("a fast hand is not late", () => {
  const filter = new PoseFilter();
  const speed_m_per_s = 0.8;
  let late_s = 0;
  for (let frame = 0; frame < 60; frame++) {
    const moved = resting.with({ wristPosition_m: Float64Array.of((speed_m_per_s * frame) / 30 - 0.5, 0, 0.5) });
    const shown = filter.smooth(moved, frame / 30);
    late_s = (moved.numbers.wristPosition_m[0] - shown.numbers.wristPosition_m[0]) / speed_m_per_s;
  }
  expect(late_s).toBeLessThan(0.04);
});

test("a built hand stays where it is in the picture", () => {
  const build = new Build();
  build.learn(resting, 1);
  build.learn(resting.with({ size: 1.2 }), 3);
  const built = build.built(resting);
  expect(built.numbers.size).toBeCloseTo(1.2 ** 0.75, 9);
  expect(built.length_m / resting.length_m).toBeCloseTo(built.numbers.wristPosition_m[2] / 0.5, 9);
});
