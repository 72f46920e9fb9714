/** A recording as an animated character: a skinned hand for each track on the open hand's bones, as binary glTF. */

import * as THREE from "three";
import type { ShownHand } from "../engine/results";
import type { HandModel } from "../hand/handModel";
import { quaternionOf } from "../hand/linear";
import { HandPose, type PoseNumbers } from "../hand/pose";
import { BONES, PARENTS } from "../hand/skeleton";
import type { Side } from "../hand/types";
import { exported, handGeometry } from "./files";
import { handMaterial, toSpace } from "./scene";

const INFLUENCES = 4; // bones that a vertex hangs on at most, as glTF has them

/** The poses of a hand over time. */
interface Track {
  side: Side;
  times_s: number[];
  poses: PoseNumbers[];
}

/** What was recorded, by the numbers of the hands. Keeps poses alone: a mesh a frame would fill the memory. */
export class Recording {
  private readonly tracks = new Map<number, Track>();
  private start_s: number | null = null;
  private end_s = 0;

  /** @param name of what is recorded. */
  constructor(readonly name: string) {}

  /** Seconds that it lasts. */
  get duration_s(): number {
    return this.start_s === null ? 0 : this.end_s - this.start_s;
  }

  /** Take in a frame. */
  add(hands: readonly ShownHand[], time_s: number): void {
    this.start_s ??= time_s;
    this.end_s = time_s;
    for (const { track, side, pose } of hands) {
      if (!this.tracks.has(track)) this.tracks.set(track, { side, times_s: [], poses: [] });
      const own = this.tracks.get(track)!;
      own.times_s.push(time_s - this.start_s);
      own.poses.push(pose);
    }
  }

  /**
   * One scene with a skinned hand for each track and one animation in seconds: metres, x right, y up, z backward, the
   * camera at the origin. Nodes are named by track and bone, `right_1_index_2`; the wrist's places the hand. Shape and
   * size are those of the last frame, and the hand stays where it is in the picture.
   *
   * @param faces triangles of a right hand, flat.
   */
  toGlb(model: HandModel, faces: Uint16Array): Promise<ArrayBuffer> {
    const scene = new THREE.Scene();
    const motions: THREE.KeyframeTrack[] = [];
    for (const [number, track] of this.tracks) {
      const name = `${track.side}_${number}`;
      const mesh = riggedHand(name, track, model, faces);
      scene.add(mesh.skeleton.bones[0], mesh);
      motions.push(...motionOf(name, track, model));
    }
    return exported(scene, motions.length ? [new THREE.AnimationClip("hands", -1, motions)] : []);
  }
}

/** A hand at rest with its bones. */
function riggedHand(name: string, { side, poses }: Track, model: HandModel, faces: Uint16Array): THREE.SkinnedMesh {
  const last = new HandPose(model, poses[poses.length - 1]);
  const origins = last.restOrigins_m;
  const geometry = handGeometry(side, Float32Array.from(last.restVertices_m), faces);
  const count = geometry.getAttribute("position").count;
  const [indices, weights] = [new Uint8Array(INFLUENCES * count), new Float32Array(INFLUENCES * count)];
  for (let vertex = 0; vertex < count; vertex++) {
    const strongest = model.bonesOf(vertex).slice(0, INFLUENCES);
    const sum = strongest.reduce((all, { weight }) => all + weight, 0);
    strongest.forEach(({ bone, weight }, k) => {
      indices[INFLUENCES * vertex + k] = bone;
      weights[INFLUENCES * vertex + k] = weight / sum;
    });
  }
  geometry.setAttribute("skinIndex", new THREE.BufferAttribute(indices, INFLUENCES));
  geometry.setAttribute("skinWeight", new THREE.BufferAttribute(weights, INFLUENCES));
  const bones = BONES.map((bone, index) => {
    const node = new THREE.Bone();
    node.name = `${name}_${bone}`;
    const parent = PARENTS[index];
    node.position.fromArray([0, 1, 2].map((axis) => origins[3 * index + axis] - (index ? origins[3 * parent + axis] : 0)));
    return node;
  });
  bones.forEach((node, index) => index && bones[PARENTS[index]].add(node));
  const inverses = bones.map((_, index) =>
    new THREE.Matrix4().makeTranslation(-origins[3 * index], -origins[3 * index + 1], -origins[3 * index + 2]),
  );
  const mesh = new THREE.SkinnedMesh(geometry, handMaterial(side));
  mesh.name = name;
  mesh.bind(new THREE.Skeleton(bones, inverses), new THREE.Matrix4());
  return mesh;
}

/** How the bones of a hand move. */
function motionOf(name: string, { times_s, poses }: Track, model: HandModel): THREE.KeyframeTrack[] {
  const last = poses[poses.length - 1];
  const places = poses.flatMap((pose) => [...toSpace(pose.wristPosition_m.map((value) => (value * last.size) / pose.size))]);
  const node = (bone: number): string => `${name}_${BONES[bone]}`;
  const motions: THREE.KeyframeTrack[] = [new THREE.VectorKeyframeTrack(`${node(0)}.position`, times_s, places)];
  const local = poses.map((pose) => [
    quaternionOf(turnedToSpace(pose.wristRotation)),
    ...new HandPose(model, pose).quaternions.slice(1),
  ]);
  BONES.forEach((_, bone) => {
    const turns = local.map((turn) => turn[bone]);
    motions.push(new THREE.QuaternionKeyframeTrack(`${node(bone)}.quaternion`, times_s, steady(turns)));
  });
  return motions;
}

/** A rotation (3, 3) into camera space as one into space: half a turn around x after it. */
function turnedToSpace(rotation: Float64Array): Float64Array {
  return rotation.map((value, at) => (at < 3 ? value : -value));
}

/** Quaternions w, x, y, z as x, y, z, w, each on the side of the one before. */
function steady(turns: readonly Float64Array[]): number[] {
  let before = turns[0];
  return turns.flatMap((turn) => {
    const same = turn.reduce((sum, value, at) => sum + value * before[at], 0) >= 0;
    before = same ? turn : turn.map((value) => -value);
    const [w, x, y, z] = before;
    return [x, y, z, w];
  });
}
