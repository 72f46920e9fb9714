/** What can be downloaded of the hands that are shown: JSON in the form of `handmesh/hand_files.py`, meshes as PLY and GLB. */

import * as THREE from "three";
import { GLTFExporter } from "three/addons/exporters/GLTFExporter.js";
import { PLYExporter } from "three/addons/exporters/PLYExporter.js";
import type { Settings } from "../engine/engine";
import type { ShownHand } from "../engine/results";
import { boxAround } from "../hand/boxes";
import type { HandModel } from "../hand/handModel";
import { JOINT_NAMES } from "../hand/joints";
import { project } from "../hand/linear";
import { HandPose } from "../hand/pose";
import { BONES } from "../hand/skeleton";
import type { Side } from "../hand/types";
import { handMaterial, toSpace } from "./scene";

const DECIMALS_M = 5;
const DECIMALS_PX = 2;

/** A picture with its hands. */
export interface Result {
  name: string;
  width: number;
  height: number;
  /** Whether K is known, or follows from what a file or a slider says of the field of view. */
  kFrom: Settings["kFrom"];
  hands: readonly ShownHand[];
}

/** Give a file to whoever is at the page. */
export function download(name: string, content: BlobPart, type: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser may not have begun to read yet
}

/** `NAME_hands.json`. */
export function jsonOf({ name, width, height, kFrom, hands }: Result, model: HandModel): string {
  return JSON.stringify({ image: name, width, height, hands: hands.map((hand) => handJson(hand, kFrom, model)) }, null, 1);
}

function handJson({ side, K, seen, pose, joints_m, confidence }: ShownHand, kFrom: string, model: HandModel): object {
  const points = seen?.landmarks_px ?? project(joints_m, K);
  return {
    side,
    score: seen?.presence == null ? null : rounded(seen.presence, 4),
    side_probability: seen ? rounded(seen.sideProbability, 4) : null,
    box_px: rows(boxAround(points), 4, DECIMALS_PX)[0],
    K: rows(K, 3, 4),
    K_from: kFrom,
    scale_and_depth_approximate: kFrom !== "given",
    size_from: seen?.knownSize ? "hand_length" : "network",
    joint_names: JOINT_NAMES,
    landmarks_px: rows(points, 2, DECIMALS_PX),
    joints_px: rows(project(joints_m, K), 2, DECIMALS_PX),
    joints_m: rows(joints_m, 3, DECIMALS_M),
    translation_m: rows(joints_m.subarray(0, 3), 3, DECIMALS_M)[0],
    depth_m: rounded(joints_m[2], DECIMALS_M),
    depth_deviation_m: seen && Number.isFinite(seen.depthDeviation_m) ? rounded(seen.depthDeviation_m, DECIMALS_M) : null,
    pose: poseJson(new HandPose(model, pose)),
    residual_px: seen && Number.isFinite(seen.residual_px) ? rounded(seen.residual_px, 3) : null,
    position_reliable: seen?.success ?? false,
    confidence: rounded(confidence, 4),
    warnings: [],
  };
}

function poseJson(pose: HandPose): object {
  const { shape, wristRotation, wristPosition_m } = pose.numbers;
  const byName = (values: Record<string, number>): object =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, rounded(value, 2)]));
  const turns = pose.quaternions.map((turn) => Array.from(turn, (value) => rounded(value, 6)));
  const wrist = rows(wristRotation, 3, 6).map((row, axis) => [...row, rounded(wristPosition_m[axis], 6)]);
  return {
    joint_angles_deg: byName(pose.jointAngles_deg),
    joint_deviations_deg: byName(pose.jointDeviations_deg),
    quaternions: Object.fromEntries(BONES.map((name, bone) => [name, turns[bone]])),
    wrist_pose: [...wrist, [0, 0, 0, 1]],
    shape: Array.from(shape, (value) => rounded(value, 4)),
  };
}

function rounded(value: number, decimals: number): number {
  return Number(value.toFixed(decimals));
}

function rows(values: Float64Array, length: number, decimals: number): number[][] {
  return Array.from({ length: values.length / length }, (_, row) =>
    Array.from(values.subarray(row * length, (row + 1) * length), (value) => rounded(value, decimals)),
  );
}

/** The meshes of hands as one PLY file: camera space, metres. */
export function plyOf(hands: readonly ShownHand[], faces: Uint16Array): ArrayBuffer {
  const group = new THREE.Group();
  for (const hand of hands) {
    const mesh = meshOf(hand.side, Float32Array.from(hand.vertices_m), faces);
    mesh.geometry.deleteAttribute("normal");
    group.add(mesh);
  }
  return new PLYExporter().parse(group, () => {}, { binary: true, littleEndian: true })!;
}

/** The meshes of hands as binary glTF. */
export function glbOf(hands: readonly ShownHand[], faces: Uint16Array): Promise<ArrayBuffer> {
  const scene = new THREE.Scene();
  const count = { right: 0, left: 0 };
  for (const hand of hands) {
    const mesh = meshOf(hand.side, toSpace(hand.vertices_m), faces);
    mesh.name = `${hand.side}_${++count[hand.side]}`;
    scene.add(mesh);
  }
  return exported(scene, []);
}

/** A scene as binary glTF. */
export async function exported(scene: THREE.Scene, animations: THREE.AnimationClip[]): Promise<ArrayBuffer> {
  const exporter = new GLTFExporter();
  return (await exporter.parseAsync(scene, { binary: true, animations })) as ArrayBuffer;
}

/** A hand's mesh with outward triangles. */
function meshOf(side: Side, positions: Float32Array, faces: Uint16Array): THREE.Mesh {
  return new THREE.Mesh(handGeometry(side, positions, faces), handMaterial(side));
}

/** The surface of a hand with outward triangles; `faces` are those of a right one. */
export function handGeometry(side: Side, positions: Float32Array, faces: Uint16Array): THREE.BufferGeometry {
  const geometry = new THREE.BufferGeometry();
  geometry.setAttribute("position", new THREE.BufferAttribute(positions, 3));
  geometry.setIndex(new THREE.BufferAttribute(side === "right" ? faces : faces.slice().reverse(), 1));
  geometry.computeVertexNormals();
  return geometry;
}
