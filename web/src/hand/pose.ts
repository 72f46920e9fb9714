/** How a hand is held, as the open hand's joints. */

import { fitHand } from "./fit";
import type { HandModel, Posture } from "./handModel";
import { handLength } from "./joints";
import { meanPoint, multiply, quaternionOf, transformPoints, transpose } from "./linear";
import { ANGLE_NAMES, PARENTS } from "./skeleton";
import type { Side } from "./types";

/**
 * The numbers of a pose, which can be sent between threads.
 *
 * The palm's frame has its origin at the wrist, y towards the middle knuckle, z out of the palm, and x towards the
 * thumb's side for a right hand and away from it for a left one. Camera space is x right, y down, z forward, metres.
 */
export interface PoseNumbers {
  side: Side;
  /** (D,) radians, of `ANGLE_NAMES`. */
  angles: Float64Array;
  /** (D,) their standard deviations. */
  angleDeviations: Float64Array;
  /** (S,) coefficients of the open hand's shapes. */
  shape: Float64Array;
  /** Over the mean hand's, which also depends on the shape. */
  size: number;
  /** (3, 3) palm to camera frame. */
  wristRotation: Float64Array;
  /** (3,) camera space. */
  wristPosition_m: Float64Array;
}

/** A hand in a pose; what follows from its numbers is computed when first asked for. */
export class HandPose {
  private ownVertices_m: Float64Array | null = null;
  private ownJoints_m: Float64Array | null = null;

  constructor(
    readonly model: HandModel,
    readonly numbers: Readonly<PoseNumbers>,
  ) {}

  /** The hand with other numbers. */
  with(changes: Partial<PoseNumbers>): HandPose {
    return new HandPose(this.model, { ...this.numbers, ...changes });
  }

  /** The mesh (V, 3), camera space; triangles of a left hand are those of `HandModel.faces` the other way round. */
  get vertices_m(): Float64Array {
    if (this.ownVertices_m === null) {
      const { size, wristRotation, wristPosition_m } = this.numbers;
      const own = this.mirroredPoints(this.model.pose(this.posture));
      this.ownVertices_m = transformPoints(wristRotation, own, size, wristPosition_m);
    }
    return this.ownVertices_m;
  }

  /** The joints (21, 3) of the mesh, FreiHAND's order. */
  get joints_m(): Float64Array {
    this.ownJoints_m ??= this.model.jointsOf(this.vertices_m);
    return this.ownJoints_m;
  }

  /** From the wrist along the bones to the tip of the middle finger. */
  get length_m(): number {
    return handLength(this.joints_m);
  }

  /**
   * Angles by anatomical name: flexion bends towards the palm, abduction spreads a finger away from the middle one
   * (the middle finger towards the thumb) and lifts the thumb off the palm, twist turns the thumb's pad towards the
   * fingers; 0 at rest, an open hand with fingers apart.
   */
  get jointAngles_deg(): Record<string, number> {
    return byName(this.numbers.angles);
  }

  /** Standard deviations of these. */
  get jointDeviations_deg(): Record<string, number> {
    return byName(this.numbers.angleDeviations);
  }

  /** Rotation of each bone (B, 3, 3) against its parent, in the palm's axes at rest; the identity at rest. */
  get rotations(): Float64Array[] {
    const bones = this.model.rotations(this.posture);
    return PARENTS.map((parent, bone) => {
      const local = parent < 0 ? bones[bone] : multiply(transpose(bones[parent]), bones[bone]);
      return this.numbers.side === "left" ? mirroredRotation(local) : local;
    });
  }

  /** The rotations as unit quaternions (B, 4): w, x, y, z, w not negative. */
  get quaternions(): Float64Array[] {
    return this.rotations.map(quaternionOf);
  }

  /** Where each bone begins at rest (B, 3), in the palm's frame of this hand, of its size and shape. */
  get restOrigins_m(): Float64Array {
    const origins = this.mirroredPoints(this.model.rest(this.numbers.shape).origins);
    return origins.map((value) => this.numbers.size * value);
  }

  /** The mesh (V, 3) at rest, likewise. */
  get restVertices_m(): Float64Array {
    const vertices = this.mirroredPoints(this.model.rest(this.numbers.shape).vertices);
    return vertices.map((value) => this.numbers.size * value);
  }

  private get posture(): Posture {
    return { angles: this.numbers.angles, shape: this.numbers.shape };
  }

  private mirroredPoints(points: Float64Array): Float64Array {
    return this.numbers.side === "left" ? mirrored(points) : points;
  }
}

/**
 * The pose of a hand, as long as the mesh and in its place.
 *
 * @param vertices_m (V, 3) of the open hand's template, camera space.
 * @param landmarks_px (21, 2), of the picture.
 * @param landmarkConfidence (21,).
 * @param K (3, 3) of the picture.
 * @throws if they are not finite.
 */
export function poseOf(
  model: HandModel,
  side: Side,
  vertices_m: Float64Array,
  landmarks_px: Float64Array,
  landmarkConfidence: Float64Array,
  K: Float64Array,
): HandPose {
  if (![vertices_m, landmarks_px].every((values) => values.every(Number.isFinite))) {
    throw new Error("the hand's mesh or landmarks are not finite: it has no pose");
  }
  const left = side === "left"; // which is fitted as the right hand that a mirror shows
  const fit = fitHand(
    model,
    left ? mirrored(vertices_m) : vertices_m,
    left ? landmarks_px.map((value, index) => (index % 2 === 0 ? 2 * K[2] - value : value)) : landmarks_px,
    landmarkConfidence.map((value) => Math.min(Math.max(value, 0), 1)),
    K,
  );
  const pose = new HandPose(model, {
    side,
    angles: fit.posture.angles,
    angleDeviations: fit.angleDeviations,
    shape: fit.posture.shape,
    size: fit.size,
    wristRotation: left ? mirroredRotation(fit.rotation) : fit.rotation,
    wristPosition_m: left ? mirrored(fit.translation_m) : fit.translation_m,
  });
  const joints_m = model.jointsOf(vertices_m);
  const longer = handLength(joints_m) / pose.length_m; // the prior draws to people's usual size
  const [center, ownCenter] = [meanPoint(joints_m), meanPoint(pose.joints_m)];
  const { size, wristPosition_m: wrist } = pose.numbers;
  const wristPosition_m = wrist.map((value, axis) => center[axis] + longer * (value - ownCenter[axis]));
  return pose.with({ size: size * longer, wristPosition_m });
}

/** Points (N, 3) with left and right exchanged. */
function mirrored(points: Float64Array): Float64Array {
  return points.map((value, index) => (index % 3 === 0 ? -value : value));
}

/** The rotation that does in the mirror what one does before it. */
function mirroredRotation(rotation: Float64Array): Float64Array {
  return rotation.map((value, index) => ((index % 3 === 0) !== (index < 3) ? -value : value));
}

function byName(angles: Float64Array): Record<string, number> {
  return Object.fromEntries(ANGLE_NAMES.map((name, index) => [name, (angles[index] * 180) / Math.PI]));
}
