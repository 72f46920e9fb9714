import { describe, expect, test } from "vitest";

import { boxAround, containment, longerSide } from "../src/hand/boxes";
import { project } from "../src/hand/linear";
import { HandPose, type PoseNumbers } from "../src/hand/pose";
import { Tracker, type TrackedHand } from "../src/hand/tracking";
import type { Camera, Finder, FoundHand, Hand, Look, Picture, Side } from "../src/hand/types";
import { farthest, flat, model, readGolden } from "./support";

const PICTURE: Picture = { width: 640, height: 480, data: new Uint8ClampedArray() };
const CAMERA: Camera = { K: Float64Array.of(500, 0, 319.5, 0, 500, 239.5, 0, 0, 1) };
const RATE_HZ = 25;
const REACH = 0.4; // of its box, within which a hand is seen that is looked for

/** Where the wrist of a hand is (3,) at a time; null where it cannot be seen. */
type Path = (time_s: number) => number[] | null;

/** A scene of hands whose poses were recorded, and what networks would say of it. */
class Scene implements Finder {
  time_s = 0;
  searches = 0;
  private readonly actors: { side: Side; path: Path }[] = [];

  with(side: Side, path: Path): this {
    this.actors.push({ side, path });
    return this;
  }

  others(): Promise<FoundHand[]> {
    this.searches++;
    return Promise.resolve(this.visible().map((hand) => hand.found!));
  }

  see(_picture: Picture, _camera: Camera, found: FoundHand[]): Promise<Hand[]> {
    const isOf = (hand: Hand, one: FoundHand): boolean => farthest(hand.landmarks_px, one.landmarks_px) < 1e-9;
    return Promise.resolve(this.visible().filter((hand) => found.some((one) => isOf(hand, one))));
  }

  look(_picture: Picture, _camera: Camera, looks: Look[]): Promise<Hand[]> {
    return Promise.resolve(
      looks.map(({ found, landmarks_px, left }) => {
        const seen = this.near(landmarks_px) ?? background(landmarks_px);
        return { ...seen, found, side: left ? "left" : "right" };
      }),
    );
  }

  presence(_picture: Picture, landmarks_px: Float64Array): Promise<number> {
    return Promise.resolve(this.near(landmarks_px) === null ? 0.02 : 0.98);
  }

  /** The hand nearest to landmarks (21, 2), if one is near. */
  private near(landmarks_px: Float64Array): Hand | null {
    const size = longerSide(boxAround(landmarks_px));
    const far = (hand: Hand): number => farthest(middle(hand.landmarks_px), middle(landmarks_px)) / size;
    const best = this.visible().sort((one, other) => far(one) - far(other))[0];
    return best !== undefined && far(best) < REACH ? best : null;
  }

  private visible(): Hand[] {
    return this.actors.flatMap(({ side, path }) => {
      const place = path(this.time_s);
      return place === null ? [] : [handAt(side, place)];
    });
  }
}

const golden = readGolden<{ hands: Record<string, { pose: Record<string, unknown> }> }>("pose");
const RECORDED: Record<Side, HandPose> = { right: recorded("right", "palm"), left: recorded("left", "left") };

function recorded(side: Side, name: string): HandPose {
  const { angles, angle_deviations, shape, size, wrist_rotation } = golden.hands[name].pose;
  const numbers: PoseNumbers = {
    side,
    angles: flat(angles),
    angleDeviations: flat(angle_deviations),
    shape: flat(shape),
    size: size as number,
    wristRotation: flat(wrist_rotation),
    wristPosition_m: new Float64Array(3),
  };
  return new HandPose(model, numbers);
}

function handAt(side: Side, place: number[]): Hand {
  const { vertices_m, joints_m } = RECORDED[side].with({ wristPosition_m: Float64Array.from(place) });
  const landmarks_px = project(joints_m, CAMERA.K);
  return {
    side, vertices_m, joints_m, camera: CAMERA, landmarks_px,
    found: { landmarks_px, presence: 0.98, right: side === "right" ? 1 : 0 },
    landmarkConfidence: new Float64Array(21).fill(0.9), residual_px: 1, success: true, sideProbability: 0.99,
    confidence: 0.9, knownSize: false, depthDeviation_m: 0.03,
  };
}

/** What is seen where no hand is: something blurred. */
function background(landmarks_px: Float64Array): Hand {
  const landmarkConfidence = new Float64Array(21).fill(0.1);
  return { ...handAt("right", [0, 0, 0.5]), landmarks_px, landmarkConfidence, confidence: 0.4 };
}

function middle(points_px: Float64Array): number[] {
  const [left, top, right, bottom] = boxAround(points_px);
  return [(left + right) / 2, (top + bottom) / 2];
}

/** The hands of all frames up to a time. */
async function tracked(scene: Scene, until_s: number): Promise<TrackedHand[][]> {
  const tracker = new Tracker(model, scene);
  const frames: TrackedHand[][] = [];
  for (let frame = 0; frame / RATE_HZ < until_s; frame++) {
    scene.time_s = frame / RATE_HZ;
    frames.push(await tracker.update(PICTURE, CAMERA, scene.time_s));
  }
  return frames;
}

/** A path along x that cannot be seen between two times. */
function along(start_m: number, speed_m_per_s: number, y_m = 0.05, hidden_s: [number, number] = [0, 0]): Path {
  return (time_s) => {
    const hidden = time_s >= hidden_s[0] && time_s < hidden_s[1];
    return hidden ? null : [start_m + speed_m_per_s * time_s, y_m, 0.6];
  };
}

function ofTrack(frames: TrackedHand[][], track: number): TrackedHand[] {
  return frames.flat().filter((hand) => hand.track === track);
}

function wrist_x(hand: TrackedHand): number {
  return hand.pose.joints_m[0];
}

/** Number and side of each hand, by frame. */
function named(frames: TrackedHand[][]): string[] {
  return frames.map((hands) => hands.map((hand) => `${hand.track} ${hand.pose.numbers.side}`).join());
}

describe("two hands that move", () => {
  const scene = new Scene().with("right", along(-0.2, 0.1)).with("left", along(0.15, -0.02));

  test("keep their numbers and their sides, and are searched for now and then", async () => {
    const frames = await tracked(scene, 1);
    expect(named(frames)).toEqual(frames.map(() => "1 right,2 left"));
    expect(frames.flat().every((hand) => !hand.bridged && hand.seen !== null)).toBe(true);
    expect(scene.searches).toBe(3); // every ninth frame
    const last = ofTrack(frames, 1)[24];
    expect(Math.abs(wrist_x(last) - handAt("right", [-0.2 + 0.1 * 0.96, 0.05, 0.6]).joints_m[0])).toBeLessThan(0.01);
    expect(last.confidence).toBe(0.9);
  });
});

test("a hidden hand is bridged where it should be, and said to be", async () => {
  const frames = await tracked(new Scene().with("right", along(-0.15, 0.3, 0.05, [0.4, 0.55])), 1);
  expect(frames.map((hands) => hands.map((hand) => hand.track))).toEqual(frames.map(() => [1]));
  const hands = frames.flat();
  expect(hands.flatMap((hand, frame) => (hand.bridged ? [frame] : []))).toEqual([10, 11, 12, 13]);
  expect(hands.filter((hand) => hand.bridged).every((hand) => hand.confidence === 0 && hand.seen === null)).toBe(true);
  const steps = hands.slice(1).map((hand, frame) => wrist_x(hand) - wrist_x(hands[frame]));
  expect(Math.min(...steps.slice(0, 13))).toBeGreaterThan(0);
  expect(Math.max(...steps)).toBeLessThan(0.04);
});

test("a hand that stays away is shown for half a second, and has its number when it comes back", async () => {
  const frames = await tracked(new Scene().with("left", along(0, 0, 0.05, [0.4, 1.2])), 1.4);
  const shown = frames.map((hands) => hands.map((hand) => hand.track).join());
  expect(shown.slice(0, 22)).toEqual(Array(22).fill("1")); // last seen at 0.36 s
  expect(shown.slice(23, 30)).toEqual(Array(7).fill(""));
  expect(shown.slice(-5)).toEqual(Array(5).fill("1"));
});

test("a hand may come back at another depth", async () => {
  const nearer: Path = (time_s) => (time_s < 0.4 ? [0, 0.05, 0.9] : time_s < 1.2 ? null : [0, 0.05, 0.5]);
  expect(named(await tracked(new Scene().with("left", nearer), 1.4)).slice(-5)).toEqual(Array(5).fill("1 left"));
});

test("a hand of the other side is another hand, and so is one that comes after a long time", async () => {
  const away = along(0, 0, 0.05, [0.4, 9]);
  const other = await tracked(new Scene().with("left", away).with("right", along(0, 0, 0.05, [0, 1.2])), 1.4);
  expect(named(other).slice(-5)).toEqual(Array(5).fill("2 right"));
  const late = await tracked(new Scene().with("left", along(0, 0, 0.05, [0.4, 3.6])), 4);
  expect(named(late).slice(-5)).toEqual(Array(5).fill("2 left"));
});

test("a hand lost and found elsewhere keeps its number, and its side whatever the detector says", async () => {
  const before = along(-0.1, 0, 0.05, [0.4, 0.6]);
  const after = along(-0.1 + 0.085, 0); // half its size away
  const jumps: Path = (time_s) => (time_s < 0.6 ? before(time_s) : after(time_s));
  class Mistaken extends Scene {
    override async see(picture: Picture, camera: Camera, found: FoundHand[]): Promise<Hand[]> {
      const hands = await super.see(picture, camera, found);
      return hands.map((hand): Hand => (this.time_s < 0.5 ? hand : { ...hand, side: "left" }));
    }
  }
  const frames = await tracked(new Mistaken().with("right", jumps), 0.9);
  expect(named(frames)).toEqual(frames.map(() => "1 right"));
  expect(frames.map(([hand]) => hand.bridged)).toEqual(frames.map((_, frame) => frame >= 10 && frame < 15));
});

test("two hands that cross keep their numbers and their sides", async () => {
  const scene = new Scene().with("right", along(-0.2, 0.4, 0.03)).with("left", along(0.2, -0.4, 0.07));
  const frames = await tracked(scene, 1);
  const meeting = [handAt("right", [0, 0.03, 0.6]), handAt("left", [0, 0.07, 0.6])];
  const [one, other] = meeting.map((hand) => boxAround(hand.landmarks_px));
  expect(containment(one, other)).toBeGreaterThan(0.6); // so that they are taken for one
  expect(named(frames)).toEqual(frames.map(() => "1 right,2 left"));
  for (const [track, way] of [[1, 1], [2, -1]] as const) {
    const hands = ofTrack(frames, track);
    expect(way * (wrist_x(hands[24]) - wrist_x(hands[0]))).toBeGreaterThan(0.3);
    expect(hands[24].bridged).toBe(false);
  }
  expect(frames.flat().some((hand) => hand.bridged)).toBe(true);
});

test.each([
  ["blurred and called no hand is let go", 0.2, 0.5, 1],
  ["clear and called no hand is let go", 0.9, 0.5, 6],
  ["sure is a hand, whatever it is called", 0.2, 0.9, Infinity],
])("what is %s", async (_, clearness, confidence, trusted) => {
  class Doll extends Scene {
    override presence(): Promise<number> {
      return Promise.resolve(0.1);
    }
    override others(): Promise<FoundHand[]> {
      return this.time_s === 0 ? super.others() : Promise.resolve([]);
    }
    override async look(picture: Picture, camera: Camera, looks: Look[]): Promise<Hand[]> {
      const landmarkConfidence = new Float64Array(21).fill(clearness);
      return (await super.look(picture, camera, looks)).map((hand) => ({ ...hand, landmarkConfidence, confidence }));
    }
  }
  const frames = await tracked(new Doll().with("right", along(0, 0)), 0.9);
  const shown = frames.map((hands) => hands.map((hand) => (hand.bridged ? "bridged" : "seen")).join());
  expect(shown).toEqual(frames.map((_, frame) => (frame < trusted ? "seen" : frame < trusted + 12 ? "bridged" : "")));
});

test("what looks like a hand of the other side for long is found anew", async () => {
  class Doubted extends Scene {
    override async look(picture: Picture, camera: Camera, looks: Look[]): Promise<Hand[]> {
      const hands = await super.look(picture, camera, looks);
      return hands.map((hand) => ({ ...hand, sideProbability: hand.side === "left" ? 0.999 : 0.001 }));
    }
    override async see(picture: Picture, camera: Camera, found: FoundHand[]): Promise<Hand[]> {
      const hands = await super.see(picture, camera, found);
      return hands.map((hand): Hand => (this.time_s === 0 ? hand : { ...hand, side: "left" }));
    }
  }
  const frames = await tracked(new Doubted().with("right", along(0, 0)), 0.9);
  const anew = named(frames).indexOf("2 left");
  expect(anew).toBeGreaterThan(5);
  expect(named(frames)).toEqual(frames.map((_, frame) => (frame < anew ? "1 right" : "2 left")));
});

test("an unsure hand enters when most of it is in the picture", async () => {
  class Unsure extends Scene {
    override async see(picture: Picture, camera: Camera, found: FoundHand[]): Promise<Hand[]> {
      return (await super.see(picture, camera, found)).map((hand) => ({ ...hand, confidence: 0.7 }));
    }
  }
  expect((await tracked(new Scene().with("right", along(-0.55, 0.5)), 0.1))[0]).toHaveLength(1);
  const frames = await tracked(new Unsure().with("right", along(-0.55, 0.5)), 0.9);
  const first = frames.findIndex((hands) => hands.length > 0);
  expect(first).toBeGreaterThan(0);
  const x = frames[first][0].seen!.landmarks_px.filter((_, index) => index % 2 === 0);
  expect(x.filter((value) => value >= 0).length).toBeGreaterThanOrEqual(0.75 * x.length);
});

test("a hand does not jump in depth", async () => {
  const jumps: Path = (time_s) => (time_s > 0.18 && time_s < 0.22 ? [0, 0.15, 1.8] : [0, 0.05, 0.6]);
  const frames = await tracked(new Scene().with("right", jumps), 0.4);
  expect(named(frames)).toEqual(frames.map(() => "1 right"));
  expect(frames.map(([hand]) => hand.bridged)).toEqual(frames.map((_, frame) => frame === 5));
  expect(Math.max(...frames.map(([hand]) => hand.pose.joints_m[2]))).toBeLessThan(0.7);
});

test("a hand that came near fast is bridged before the camera", async () => {
  const nearer: Path = (time_s) => (time_s > 0.22 ? null : [0, 0.05, time_s > 0.18 ? 0.42 : 0.6]);
  const frames = await tracked(new Scene().with("right", nearer), 0.6);
  expect(frames.filter(([hand]) => hand.bridged).length).toBeGreaterThan(5);
  expect(Math.min(...frames.map(([hand]) => hand.pose.joints_m[2]))).toBeGreaterThan(0.26);
});

test.each([
  ["without a place", (hand: Hand): Hand => ({ ...hand, success: false })],
  ["that is not finite", (hand: Hand): Hand => ({ ...hand, vertices_m: hand.vertices_m.map(() => NaN) })],
  ["behind the camera", (hand: Hand): Hand => ({ ...hand, vertices_m: hand.vertices_m.map((v) => v - 1) })],
])("a hand %s is not tracked", async (_, changed) => {
  class Odd extends Scene {
    override async see(picture: Picture, camera: Camera, found: FoundHand[]): Promise<Hand[]> {
      return (await super.see(picture, camera, found)).map(changed);
    }
  }
  expect(await tracked(new Odd().with("right", along(0, 0)), 0.1)).toEqual([[], [], []]);
});

test("times have to grow", async () => {
  const tracker = new Tracker(model, new Scene());
  await tracker.update(PICTURE, CAMERA, 1);
  await expect(tracker.update(PICTURE, CAMERA, 1)).rejects.toThrow("time_s");
});
