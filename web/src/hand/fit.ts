/**
 * The open hand fitted to where a network's mesh is and where its landmarks are seen: damped Gauss-Newton over pose,
 * shape, size and place of a right hand, within the limits of the joints, with people's poses and shapes as the prior.
 */

import { boxAround, longerSide } from "./boxes";
import type { HandModel, Posture } from "./handModel";
import { NUM_JOINTS } from "./joints";
import { meanPoint, multiply, nearestRotation, rotationByVector, transformPoints, transpose } from "./linear";
import { NormalEquations } from "./normalEquations";
import { ANGLE_NAMES, FREE } from "./skeleton";

const MESH_SIGMA_M = 0.006; // how far a network's mesh may be off
const POINT_SIGMA = 0.03; // how far a landmark may be off, of the longer side of their box; beyond it counts ever less
const PRIOR_WEIGHT = 0.05; // of the prior's log probability
const SIZE_SIGMA = 0.08; // of the logarithm of people's sizes
const ITERATIONS = 3;
const DAMPING = 1e-3; // of the normal equations
const LARGEST_STEP = 0.7; // of each unknown but the place: radians, and unitless for size and shape
const LEAST_CURVATURE = 1e-9; // of what neither mesh nor landmarks say
const LEAST_DEPTH_M = 1e-3;
const PALM = [0, 5, 9, 13, 17]; // joints that move little against each other
// Unknowns: translation (3), rotation vector (3), logarithm of the size, angles (D), shape (S).
const ROTATION = 3;
const SIZE = 6;
const ANGLES = 7;
const SHAPE = ANGLES + FREE.length;

/** What the standard deviations of the equations are multiplied by, of each kind of angle: the errors of a mesh are not
 * independent of each other, as the equations take them to be (`scripts/measure_poses.py`). */
const FACTOR_OF_KIND: Record<string, number> = {
  cmc_flexion: 0.42,
  cmc_abduction: 0.88,
  cmc_twist: 0.37,
  mcp_flexion: 0.85,
  mcp_abduction: 0.47,
  ip_flexion: 0.46,
  pip_flexion: 0.78,
  dip_flexion: 0.5,
};
const DEVIATION_FACTORS = ANGLE_NAMES.map((name) => FACTOR_OF_KIND[name.slice(name.indexOf("_") + 1)]);

/** A right hand. Metres, camera frame: x right, y down, z forward. */
export interface FittedHand {
  posture: Posture;
  /** (D,) radians, standard deviations of the angles. */
  angleDeviations: Float64Array;
  /** Over the mean hand's. */
  size: number;
  /** (3, 3) from the palm's frame (`HandModel`) to the camera's. */
  rotation: Float64Array;
  /** (3,) of the wrist. */
  translation_m: Float64Array;
}

/**
 * Fit a right hand.
 *
 * @param vertices_m (V, 3), mesh of a network, camera frame.
 * @param landmarks_px (21, 2).
 * @param landmarkWeights (21,), 0 to 1.
 * @param K intrinsics.
 */
export function fitHand(
  model: HandModel,
  vertices_m: Float64Array,
  landmarks_px: Float64Array,
  landmarkWeights: Float64Array,
  K: Float64Array,
): FittedHand {
  const fit = new Fit(model, vertices_m, landmarks_px, landmarkWeights, K);
  let equations = fit.step();
  for (let iteration = 1; iteration < ITERATIONS; iteration++) equations = fit.step();
  return fit.result(equations);
}

/** The unknowns of `fitHand` between two steps. */
class Fit {
  private posture: Posture;
  private rotation: Float64Array;
  private translation: Float64Array;
  private logSize: number;
  private readonly target: Float64Array; // (P, 3), about its mean
  private readonly meshWeight: number; // of squares
  private readonly pointWeights: Float64Array; // (21,) square roots
  private readonly columns: Int32Array[]; // (P,) unknowns that move each point, apart from the translation,
  private readonly landmarkColumns: Int32Array[]; // (21,) and with it
  private readonly size: number; // number of unknowns
  // Derivatives of a point by its `columns`, and of a landmark by its own: used again, because new arrays take longer.
  private readonly block: Float64Array; // (M - 3, 3)
  private readonly landmarkBlock: Float64Array; // (M, 3)

  constructor(
    private readonly model: HandModel,
    vertices_m: Float64Array,
    private readonly landmarks_px: Float64Array,
    landmarkWeights: Float64Array,
    private readonly K: Float64Array,
  ) {
    const target = model.pointsOf(vertices_m);
    this.posture = { angles: model.poseMean, shape: model.shapeMean };
    const own = model.points(this.posture).points;
    const { rotation, scale } = nearestRotation(palm(own), palm(target));
    this.rotation = rotation;
    this.logSize = Math.log(scale);
    const center = meanPoint(target);
    const placed = meanPoint(transformPoints(rotation, own, scale));
    this.translation = center.map((value, axis) => value - placed[axis]);
    this.target = target.map((value, index) => value - center[index % 3]);
    this.meshWeight = NUM_JOINTS / model.numPoints / MESH_SIGMA_M ** 2; // all points count as much as 21
    const box_px = Math.max(longerSide(boxAround(landmarks_px)), 1);
    this.pointWeights = landmarkWeights.map((weight) => Math.sqrt(weight) / (POINT_SIGMA * box_px));
    this.size = SHAPE + model.numShapes;
    const shapes = Array.from({ length: model.numShapes }, (_, number) => SHAPE + number);
    const inner = model.anglesOfPoint.map((angles) => [SIZE, ...angles.map((angle) => ANGLES + angle), ...shapes]);
    this.columns = inner.map((columns) => Int32Array.of(3, 4, 5, ...columns).sort());
    this.landmarkColumns = this.columns.slice(0, NUM_JOINTS).map((columns) => Int32Array.of(0, 1, 2, ...columns));
    this.block = new Float64Array(3 * (this.size - ROTATION));
    this.landmarkBlock = new Float64Array(3 * this.size);
  }

  /** Change the unknowns for the better; returns the equations before that. */
  step(): NormalEquations {
    const equations = this.equations();
    const change = equations.solve(1 + DAMPING, LEAST_CURVATURE);
    for (let unknown = ROTATION; unknown < this.size; unknown++) {
      change[unknown] = Math.min(Math.max(change[unknown], -LARGEST_STEP), LARGEST_STEP);
    }
    const { angles, shape } = this.posture;
    const ranges = this.model.shapeRanges;
    this.posture = {
      angles: angles.map((angle, index) => {
        return Math.min(Math.max(angle + change[ANGLES + index], FREE[index].least), FREE[index].largest);
      }),
      shape: shape.map((value, index) => {
        return Math.min(Math.max(value + change[SHAPE + index], ranges[2 * index]), ranges[2 * index + 1]);
      }),
    };
    this.rotation = multiply(rotationByVector(change.subarray(ROTATION, SIZE)), this.rotation);
    this.translation = this.translation.map((value, axis) => value + change[axis]);
    this.logSize += change[SIZE];
    return equations;
  }

  /** The hand as it is now, with the variances that the last equations say. */
  result(equations: NormalEquations): FittedHand {
    const variances = equations.variances(ANGLES, FREE.length, LEAST_CURVATURE);
    return {
      posture: this.posture,
      angleDeviations: variances.map((variance, angle) => DEVIATION_FACTORS[angle] * Math.sqrt(Math.max(variance, 0))),
      size: Math.exp(this.logSize),
      rotation: this.rotation,
      translation_m: this.translation,
    };
  }

  private equations(): NormalEquations {
    const { model, meshWeight } = this;
    const equations = new NormalEquations(this.size);
    const { points, derivatives } = model.points(this.posture);
    const turned = transformPoints(this.rotation, points, Math.exp(this.logSize));
    // The mesh counts apart from where it is: squares about the mean are those about zero less the mean's.
    const sumBlock = new Float64Array(3 * this.size);
    const sumResiduals = new Float64Array(3);
    const residuals = new Float64Array(3);
    for (let point = 0; point < model.numPoints; point++) {
      const columns = this.columns[point];
      this.fillBlock(point, turned, derivatives);
      for (let axis = 0; axis < 3; axis++) {
        residuals[axis] = this.target[3 * point + axis] - turned[3 * point + axis];
        sumResiduals[axis] += residuals[axis];
      }
      for (let index = 0; index < columns.length; index++) {
        for (let axis = 0; axis < 3; axis++) sumBlock[3 * columns[index] + axis] += this.block[3 * index + axis];
      }
      equations.add(this.block, residuals, columns, meshWeight);
      if (point < NUM_JOINTS) this.addLandmark(equations, point, turned);
    }
    const all = Int32Array.from({ length: this.size }, (_, column) => column);
    equations.add(sumBlock, sumResiduals, all, -meshWeight / model.numPoints);
    this.addPriors(equations);
    return equations;
  }

  /** Fill in the derivatives of a point, from those in the palm's frame. */
  private fillBlock(point: number, turned: Float64Array, derivatives: Float64Array): void {
    const { rotation, block } = this;
    const size = Math.exp(this.logSize);
    const columns = this.columns[point];
    const x = turned[3 * point];
    const y = turned[3 * point + 1];
    const z = turned[3 * point + 2];
    // By the rotation: each axis times the point (the zeros are there already); by the size: the point itself.
    block[1] = -z;
    block[2] = y;
    block[3] = z;
    block[5] = -x;
    block[6] = -y;
    block[7] = x;
    block[9] = x;
    block[10] = y;
    block[11] = z;
    const inner = this.size - ANGLES;
    for (let index = 4; index < columns.length; index++) {
      const at = 3 * point * inner + columns[index] - ANGLES;
      const a = size * derivatives[at];
      const b = size * derivatives[at + inner];
      const c = size * derivatives[at + 2 * inner];
      block[3 * index] = rotation[0] * a + rotation[1] * b + rotation[2] * c;
      block[3 * index + 1] = rotation[3] * a + rotation[4] * b + rotation[5] * c;
      block[3 * index + 2] = rotation[6] * a + rotation[7] * b + rotation[8] * c;
    }
  }

  /** What a landmark says, given the derivatives of its joint. */
  private addLandmark(equations: NormalEquations, joint: number, turned: Float64Array): void {
    const { K, landmarks_px, landmarkBlock } = this;
    const wrist = transformPoints(K, this.translation);
    const homogeneous = transformPoints(K, turned.subarray(3 * joint, 3 * joint + 3), 1, wrist);
    const depth = Math.max(homogeneous[2], LEAST_DEPTH_M);
    const residuals = new Float64Array(3); // in pixels, and nothing for the depth
    const byPoint = new Float64Array(9); // their derivatives by where the joint is
    for (let axis = 0; axis < 2; axis++) {
      const seen = homogeneous[axis] / depth;
      residuals[axis] = landmarks_px[2 * joint + axis] - seen;
      for (let of = 0; of < 3; of++) byPoint[3 * axis + of] = (K[3 * axis + of] - seen * K[6 + of]) / depth;
    }
    const weight = this.pointWeights[joint];
    // The square root of the weight of Geman and McClure.
    const robust = weight / (1 + (weight * residuals[0]) ** 2 + (weight * residuals[1]) ** 2);
    landmarkBlock.set(transpose(byPoint)); // the translation moves the joint as it is
    transformPoints(byPoint, this.block, 1, undefined, landmarkBlock.subarray(3 * ROTATION));
    equations.add(landmarkBlock, residuals, this.landmarkColumns[joint], robust ** 2);
  }

  private addPriors(equations: NormalEquations): void {
    const { model, posture } = this;
    const missing = (mean: Float64Array, value: Float64Array): Float64Array => mean.map((one, at) => one - value[at]);
    equations.addPrior(ANGLES, missing(model.poseMean, posture.angles), model.posePrecision, PRIOR_WEIGHT);
    equations.addPrior(SHAPE, missing(model.shapeMean, posture.shape), model.shapePrecision, PRIOR_WEIGHT);
    equations.addPrior(SIZE, Float64Array.of(-this.logSize), Float64Array.of(SIZE_SIGMA ** -2), 1);
  }
}

/** The points of the palm, of the points of a fit. */
function palm(points: Float64Array): Float64Array {
  return Float64Array.from(PALM.flatMap((joint) => [...points.subarray(3 * joint, 3 * joint + 3)]));
}
