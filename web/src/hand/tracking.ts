/**
 * Hands from frame to frame: who is who, where to look next, and poses without jitter.
 *
 * A hand that was seen is looked for where it should be now; the detector runs when a hand may have appeared or was
 * lost.
 */

import { boxAround, containment, longerSide, SAME_HAND_SHARE } from "./boxes";
import { logOdds, mean } from "./confidence";
import { MIN_PRESENCE } from "./detector";
import type { HandModel } from "./handModel";
import { meanPoint, norm, project } from "./linear";
import { poseOf, type HandPose } from "./pose";
import { AWAY_SECONDS, Build, PoseFilter } from "./smoothing";
import type { Camera, Finder, FoundHand, Hand, Picture, Side } from "./types";

// In frames, so that a slow computer does not spend its time on them.
const DETECT_FRAMES = 9; // from one look for hands that have appeared to the next
const CHECK_FRAMES = 6; // from one question whether what is tracked is still a hand to the next
const CLEAR = 0.25; // mean confidence of the landmarks below which that is asked at once
const SURE = 0.8; // confidence above which that is not asked: what is no hand does not reach it
const REMEMBERED_SECONDS = 3; // for which number, size and shape of a hand that is away wait for it to come back
const LEAST_INSIDE = 0.75; // of the landmarks in the picture, of a hand that appears and is not sure
const LARGEST_JUMP = 0.6; // of its box, within which a hand that appears is one that was lost
const LARGEST_DEPTH_STEP = 1.5; // ratio of depths between two looks; what is seen of a hand at the border may look far away
const MOST_DOUBT = 60; // log odds against the side of a hand, summed over frames: about nine in which the network is sure
const VELOCITY_SHARE = 0.6; // of the newest velocity in the mean
const LEAST_WEIGHT = 0.01; // of a frame in the size and shape of a hand, otherwise its confidence
const NEAREST_M = 0.03; // in front of the camera, of a wrist
const FADE_SECONDS = 0.15; // in which a hand that is not seen comes to rest

/** A hand in a frame. */
export interface TrackedHand {
  /** Number of the hand, the same in all frames, as its side is. */
  track: number;
  time_s: number;
  camera: Camera;
  /** Smoothed, with the size and shape of all frames so far; camera space. */
  pose: HandPose;
  /** Whether the hand was not seen in this frame: it is shown where it should be. */
  bridged: boolean;
  /** As of `Hand`; 0 while it is bridged. */
  confidence: number;
  /** What the network saw of it in this frame; null while it is bridged. */
  seen: Hand | null;
}

/** A frame of a video. */
interface Frame {
  picture: Picture;
  camera: Camera;
  time_s: number;
}

/** What is known of a hand. Points are those of the last frame in which it was seen. */
class Track {
  readonly side: Side;
  readonly build = new Build();
  readonly filter = new PoseFilter();
  shown: HandPose;
  doubt = 0; // of its side
  private velocity = new Float64Array(3); // metres a second

  constructor(
    readonly number: number,
    public pose: HandPose,
    public seen_s: number,
    public checked: number, // number of the frame in which it was known to be a hand
  ) {
    this.side = pose.numbers.side;
    this.shown = pose;
  }

  /** How far (3,) the hand should be from where it was seen: it goes on, and comes to rest, before the camera. */
  movedSince(time_s: number): Float64Array {
    const passed_s = FADE_SECONDS * (1 - Math.exp((this.seen_s - time_s) / FADE_SECONDS));
    const moved = this.velocity.map((value) => value * passed_s);
    const depth_m = Math.min(this.pose.numbers.wristPosition_m[2], this.shown.numbers.wristPosition_m[2]);
    const [nearer, farther] = [1 / LARGEST_DEPTH_STEP - 1, LARGEST_DEPTH_STEP - 1].map((share) => share * depth_m);
    moved[2] = Math.min(Math.max(moved[2], nearer), farther);
    return moved;
  }

  /** Where the landmarks (21, 2) of a frame should be. */
  landmarksIn({ camera, time_s }: Frame): Float64Array {
    const moved = this.movedSince(time_s);
    return project(this.pose.joints_m.map((value, index) => value + moved[index % 3]), camera.K);
  }

  /** Whether the hand can be where it was seen. */
  mayBe(pose: HandPose): boolean {
    const farther = pose.numbers.wristPosition_m[2] / this.pose.numbers.wristPosition_m[2];
    return farther > 1 / LARGEST_DEPTH_STEP && farther < LARGEST_DEPTH_STEP;
  }

  /** Whether what was seen has looked like a hand of the other side for long. */
  looksOther(hand: Hand): boolean {
    this.doubt = Math.max(0, this.doubt - logOdds(hand.sideProbability));
    return this.doubt > MOST_DOUBT;
  }

  /** Take in a new pose. */
  see(pose: HandPose, time_s: number): void {
    const passed_s = Math.max(time_s - this.seen_s, 1e-3);
    const before = meanPoint(this.pose.joints_m);
    const newest = meanPoint(pose.joints_m).map((value, axis) => (value - before[axis]) / passed_s);
    this.velocity = this.velocity.map((value, axis) => VELOCITY_SHARE * newest[axis] + (1 - VELOCITY_SHARE) * value);
    this.pose = pose;
    this.seen_s = time_s;
  }
}

/** The hands of a video, one frame after the other. */
export class Tracker {
  private numTracks = 0;
  private tracks: Track[] = [];
  private gone: Track[] = []; // the last one last
  private frame = 0; // number of this frame,
  private detected = 0; // and of that of the last search
  private time_s = -Infinity;

  /**
   * @param handLength_m from the wrist along the bones to the middle finger's tip, where that is known.
   */
  constructor(
    private readonly model: HandModel,
    private readonly finder: Finder,
    private readonly handLength_m: number | null = null,
  ) {}

  /**
   * The hands of the next frame; wait for those of the one before.
   *
   * @param time_s later than that of the frame before.
   * @throws if it is not.
   */
  async update(picture: Picture, camera: Camera, time_s: number): Promise<TrackedHand[]> {
    if (!(time_s > this.time_s)) {
      throw new Error(`time_s ${time_s}: expected more than that of the frame before, ${this.time_s}`);
    }
    this.time_s = time_s;
    this.frame++;
    const frame: Frame = { picture, camera, time_s };
    const followed = this.tracks.length;
    const seen = await this.follow(frame);
    if (seen.size < followed || this.tracks.length === 0 || this.frame - this.detected >= DETECT_FRAMES) {
      this.detected = this.frame;
      await this.takeInAppeared(frame, seen);
    }
    this.forget(time_s);
    return this.tracks.map((track) => told(track, seen.get(track) ?? null, frame));
  }

  /**
   * Hands by track, seen where they should be. What looks like a hand of the other side for long is let go, to be found
   * as that.
   */
  private async follow(frame: Frame): Promise<Map<Track, Hand>> {
    const { picture, camera, time_s } = frame;
    const looks = this.tracks.map((track) => {
      return { found: null, landmarks_px: track.landmarksIn(frame), left: track.side === "left" };
    });
    const hands = await this.finder.look(picture, camera, looks, this.handLength_m);
    const seen = new Map<Track, Hand>();
    for (const [index, track] of [...this.tracks].entries()) {
      const hand = hands[index];
      if (isAmong(hand, seen.values())) continue;
      if (track.looksOther(hand)) {
        this.tracks = this.tracks.filter((one) => one !== track);
        continue;
      }
      const pose = this.placed(hand);
      if (pose !== null && track.mayBe(pose) && (await this.isHand(picture, track, hand))) {
        seen.set(track, hand);
        track.see(pose, time_s);
      }
    }
    return seen;
  }

  /** Whether what was seen of a track is a hand. */
  private async isHand(picture: Picture, track: Track, hand: Hand): Promise<boolean> {
    const wasHand = mean(hand.landmarkConfidence) > CLEAR && this.frame - track.checked < CHECK_FRAMES;
    if (hand.confidence > SURE || wasHand) return true;
    const isHand = (await this.finder.presence(picture, hand.landmarks_px)) > MIN_PRESENCE;
    if (isHand) track.checked = this.frame;
    return isHand;
  }

  /** Add hands that no track has seen in this frame: of tracks that had lost them, and of new ones. */
  private async takeInAppeared(frame: Frame, seen: Map<Track, Hand>): Promise<void> {
    const { picture, camera, time_s } = frame;
    const hands = [...seen.values()];
    const others = await this.finder.others(picture, hands.map((hand) => hand.landmarks_px));
    const there = others.filter((one) => !isAmong(one, hands));
    for (const hand of await this.finder.see(picture, camera, there, this.handLength_m)) {
      if (isAmong(hand, seen.values())) continue;
      const pose = this.placed(hand);
      if (pose === null) continue;
      const track = this.lostNear(hand, frame, seen);
      if (track === null) {
        const missing = this.tracks.some((one) => !seen.has(one));
        // What is unsure then, or half outside, is rather the one that is missing, or less than a hand.
        if (hand.confidence < SURE && (missing || shareInside(hand, picture) < LEAST_INSIDE)) continue;
        seen.set(this.entered(pose, time_s), hand);
        continue;
      }
      const look = { found: hand.found, landmarks_px: hand.landmarks_px, left: track.side === "left" };
      const [again] = await this.finder.look(picture, camera, [look], this.handLength_m);
      const found = this.placed(again);
      if (found === null || !track.mayBe(found)) continue;
      track.see(found, time_s);
      seen.set(track, again);
    }
  }

  /** The track that has lost a hand nearest to where one has appeared, if that is near. */
  private lostNear(hand: Hand, frame: Frame, seen: Map<Track, Hand>): Track | null {
    let nearest = LARGEST_JUMP;
    let found: Track | null = null;
    for (const track of this.tracks) {
      if (seen.has(track)) continue;
      const expected = track.landmarksIn(frame);
      const size = Math.max(...[expected, hand.landmarks_px].map((points) => longerSide(boxAround(points))));
      const far = norm(meanOffset(expected.map((value, index) => value - hand.landmarks_px[index]))) / size;
      if (far < nearest) {
        nearest = far;
        found = track;
      }
    }
    return found;
  }

  /** The track of a hand that has come into the picture: the last of its side that is gone, or a new one. */
  private entered(pose: HandPose, time_s: number): Track {
    const index = this.gone.findLastIndex((track) => track.side === pose.numbers.side);
    const track = index < 0 ? new Track(++this.numTracks, pose, time_s, this.frame) : this.gone.splice(index, 1)[0];
    if (index >= 0) track.see(pose, time_s);
    track.doubt = 0;
    this.tracks.push(track);
    return track;
  }

  private forget(time_s: number): void {
    const tracks = [...this.gone, ...this.tracks];
    const unseen_s = (track: Track): number => time_s - track.seen_s;
    this.tracks = tracks.filter((track) => unseen_s(track) <= AWAY_SECONDS);
    this.gone = tracks.filter((track) => unseen_s(track) > AWAY_SECONDS && unseen_s(track) <= REMEMBERED_SECONDS);
  }

  /** The pose of a hand; null where it is not known to be somewhere before the camera. */
  private placed(hand: Hand): HandPose | null {
    const { vertices_m, landmarks_px } = hand;
    if (!hand.success || ![vertices_m, landmarks_px].every((values) => values.every(Number.isFinite))) return null;
    const pose = poseOf(this.model, hand.side, vertices_m, landmarks_px, hand.landmarkConfidence, hand.camera.K);
    return pose.numbers.wristPosition_m[2] > NEAREST_M ? pose : null;
  }
}

/** What is said of a track, given what was seen of it. */
function told(track: Track, hand: Hand | null, { camera, time_s }: Frame): TrackedHand {
  if (hand === null) {
    const moved = track.movedSince(time_s);
    const wristPosition_m = track.shown.numbers.wristPosition_m.map((value, axis) => value + moved[axis]);
    const pose = track.shown.with({ wristPosition_m });
    return { track: track.number, time_s, camera, pose, bridged: true, confidence: 0, seen: null };
  }
  track.build.learn(track.pose, Math.max(hand.confidence, LEAST_WEIGHT));
  track.shown = track.filter.smooth(track.build.built(track.pose), time_s);
  const { confidence } = hand;
  return { track: track.number, time_s, camera, pose: track.shown, bridged: false, confidence, seen: hand };
}

/** Share of the landmarks of a hand that lie in the picture. */
function shareInside({ landmarks_px }: Hand, { width, height }: Picture): number {
  let inside = 0;
  for (let index = 0; index < landmarks_px.length; index += 2) {
    const [x, y] = [landmarks_px[index], landmarks_px[index + 1]];
    if (x >= 0 && x < width && y >= 0 && y < height) inside++;
  }
  return inside / (landmarks_px.length / 2);
}

/** Whether a hand of a frame is one of others. */
function isAmong(hand: Hand | FoundHand, others: Iterable<Hand>): boolean {
  const box = boxAround(hand.landmarks_px);
  return [...others].some((other) => containment(box, boxAround(other.landmarks_px)) >= SAME_HAND_SHARE);
}

/** Mean (2,) of offsets (N, 2). */
function meanOffset(offsets: Float64Array): Float64Array {
  const middle = new Float64Array(2);
  for (let index = 0; index < offsets.length; index++) middle[index % 2] += (2 * offsets[index]) / offsets.length;
  return middle;
}
