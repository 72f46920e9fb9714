/** The open hand as a model: from joint angles, shape and size to joints and vertices, with derivatives. */

import { IDENTITY, multiply, rotationAbout, transformPoints } from "./linear";
import { readArrays } from "./npz";
import { BONES, FREE, OUTER_TO_INNER, PARENTS } from "./skeleton";
import { mixed, sparse, withPicks, type SparseMatrix } from "./sparse";

const NUM_BONES = BONES.length;
const NUM_ANGLES = FREE.length;
const VERTEX_STEP = 12; // every so many vertices take part in a fit

/** The angles of each bone, from the outer one to the inner one. */
const ANGLES_OF_BONE = BONES.map((_, bone) =>
  OUTER_TO_INNER.flatMap((axis) => {
    const index = FREE.findIndex((angle) => angle.bone === bone && angle.axis === axis);
    return index < 0 ? [] : [index];
  }),
);

/** The angles that move each bone: its own and those of the bones that it hangs on. */
const ANGLES_ABOVE: number[][] = [];
PARENTS.forEach((parent, bone) => ANGLES_ABOVE.push([...(ANGLES_ABOVE[parent] ?? []), ...ANGLES_OF_BONE[bone]]));

/** How a hand is held and built, without where it is. */
export interface Posture {
  /** (D,) radians, of `FREE`. */
  angles: Float64Array;
  /** (S,) coefficients. */
  shape: Float64Array;
}

/** Bones of a posed hand in the palm's frame, of the size of the mean hand. */
interface Bones {
  /** (B, 3, 3), from the rest pose. */
  rotations: Float64Array[];
  /** (B, 1 + S, 3) and shifts, of the mean hand and their changes with the shape. */
  shifts: Float64Array[];
  /** (B, 3), where each begins. */
  origins: Float64Array[];
  /** (D, 3), unit axes of the angles as the pose turns them. */
  axes: Float64Array[];
}

/** What a bone carries of a point that is a mixture of vertices. */
interface Part {
  point: number;
  bone: number;
  /** Skinning weight, summed over the vertices. */
  share: number;
  /** (1 + S, 3) that times the position at rest, of the mean hand and its changes with the shape. */
  rest: Float64Array;
}

/**
 * A right hand. Frame: wrist at the origin, x towards the thumb's side, y towards the middle knuckle, z out of the
 * palm; metres.
 */
export class HandModel {
  /** (F, 3), outward. */
  readonly faces: Uint32Array;
  /** (S, 2), sensible smallest and largest coefficients. */
  readonly shapeRanges: Float64Array;
  /** (D,) and (D, D), of the angles of people's hands; inverse covariance. */
  readonly poseMean: Float64Array;
  readonly posePrecision: Float64Array;
  /** (S,) and (S, S), of the shapes. */
  readonly shapeMean: Float64Array;
  readonly shapePrecision: Float64Array;
  readonly numVertices: number;
  readonly numShapes: number;
  readonly numPoints: number;
  /** (P,) the angles that move each point of a fit. */
  readonly anglesOfPoint: number[][];

  /** (1 + S, V, 3), the mean adult hand at rest and its changes with the shape. */
  private readonly vertices: Float64Array;
  /** (B, 1 + S, 3), where each bone begins, likewise. */
  private readonly origins: Float64Array[];
  /** (D, 3), unit axes of the angles at rest. */
  private readonly axes: Float64Array[];
  /** (V, B), of the skinning. */
  private readonly weights: SparseMatrix;
  /** (21, V). */
  private readonly jointRegressor: SparseMatrix;
  /** (P, V), the points of a fit: the 21 joints and then some vertices. */
  private readonly mixture: SparseMatrix;
  private readonly parts: Part[];

  /**
   * @param file `hand_model.npz`.
   * @throws if an array is missing.
   */
  constructor(file: Uint8Array) {
    const arrays = readArrays(file);
    const read = (name: string): Float64Array => {
      const array = arrays.get(name);
      if (!array) throw new Error(`the hand's model has no ${name}`);
      return array;
    };
    this.faces = Uint32Array.from(read("faces"));
    this.shapeRanges = read("shape_ranges");
    this.poseMean = read("pose_mean");
    this.posePrecision = read("pose_precision");
    this.shapeMean = read("shape_mean");
    this.shapePrecision = read("shape_precision");
    this.numVertices = read("vertices").length / 3;
    this.numShapes = this.shapeMean.length;
    this.vertices = joined(read("vertices"), read("shape_vertices"));
    const origins = joined(read("joints"), read("shape_joints"));
    this.origins = BONES.map((_, bone) => this.shapedPoint(origins, bone));
    this.axes = FREE.map(({ bone, axis }) => read("axes").slice(9 * bone + 3 * axis, 9 * bone + 3 * axis + 3));
    this.weights = sparse(read("weights"), NUM_BONES);
    this.jointRegressor = sparse(read("joint_regressor"), this.numVertices);
    const picked = [...Array(this.numVertices).keys()].filter((vertex) => vertex % VERTEX_STEP === 0);
    this.mixture = withPicks(this.jointRegressor, picked);
    this.numPoints = this.mixture.numRows;
    this.parts = this.partsOfPoints();
    this.anglesOfPoint = Array.from({ length: this.numPoints }, (_, point) => {
      const own = this.parts.filter((part) => part.point === point);
      return [...new Set(own.flatMap((part) => ANGLES_ABOVE[part.bone]))];
    });
  }

  /** Vertices (V, 3) and origins of the bones (B, 3) at rest of a hand of a shape (S,). */
  rest(shape: Float64Array): { vertices: Float64Array; origins: Float64Array } {
    const origins = this.origins.map((origin) => shaped(origin, shape));
    return { vertices: shaped(this.vertices, shape), origins: Float64Array.from(origins.flatMap((one) => [...one])) };
  }

  /** The bones that a vertex hangs on, with their weights, the strongest first. */
  bonesOf(vertex: number): { bone: number; weight: number }[] {
    const { rows, columns, values } = this.weights;
    const bones: { bone: number; weight: number }[] = [];
    for (let at = rows.indexOf(vertex); rows[at] === vertex; at++) {
      bones.push({ bone: columns[at], weight: values[at] });
    }
    return bones.sort((one, other) => other.weight - one.weight);
  }

  /** Vertices (V, 3), linear blend skinning. */
  pose(posture: Posture): Float64Array {
    const bones = this.bones(posture);
    const offsets = bones.shifts.map((shift) => shaped(shift, posture.shape));
    const rest = shaped(this.vertices, posture.shape);
    const vertices = new Float64Array(rest.length);
    const { rows, columns, values } = this.weights;
    for (let entry = 0; entry < values.length; entry++) {
      const at = 3 * rows[entry];
      const weight = values[entry];
      const rotation = bones.rotations[columns[entry]];
      const offset = offsets[columns[entry]];
      const [x, y, z] = [rest[at], rest[at + 1], rest[at + 2]];
      for (let row = 0; row < 3; row++) {
        const turned = rotation[3 * row] * x + rotation[3 * row + 1] * y + rotation[3 * row + 2] * z;
        vertices[at + row] += weight * (turned + offset[row]);
      }
    }
    return vertices;
  }

  /** Rotations (B, 3, 3) of the bones from the rest pose, in the palm's frame. */
  rotations(posture: Posture): Float64Array[] {
    return this.bones(posture).rotations;
  }

  /** Joints (21, 3), FreiHAND's order, of a mesh (V, 3). */
  jointsOf(vertices: Float64Array): Float64Array {
    return mixed(this.jointRegressor, vertices);
  }

  /** The points of a fit (P, 3) of a mesh (V, 3). */
  pointsOf(vertices: Float64Array): Float64Array {
    return mixed(this.mixture, vertices);
  }

  /** The points of a fit (P, 3) in the palm's frame, and their derivatives (P, 3, D + S) with angles and shape. */
  points(posture: Posture): { points: Float64Array; derivatives: Float64Array } {
    const { shape } = posture;
    const bones = this.bones(posture);
    const columns = NUM_ANGLES + this.numShapes;
    const points = new Float64Array(3 * this.numPoints);
    const derivatives = new Float64Array(points.length * columns);
    const moved = new Float64Array(3);
    const turned = new Float64Array(3 * (1 + shape.length)); // used again for each part: new arrays take longer
    for (const { point, bone, share, rest } of this.parts) {
      transformPoints(bones.rotations[bone], rest, 1, undefined, turned);
      const shift = bones.shifts[bone];
      for (let axis = 0; axis < 3; axis++) {
        const first = (3 * point + axis) * columns + NUM_ANGLES;
        let sum = turned[axis] + share * shift[axis];
        for (let number = 0; number < shape.length; number++) {
          const at = 3 * (number + 1) + axis;
          const change = turned[at] + share * shift[at];
          sum += shape[number] * change;
          derivatives[first + number] += change;
        }
        moved[axis] = sum;
        points[3 * point + axis] += sum;
      }
      for (const angle of ANGLES_ABOVE[bone]) {
        const axis = bones.axes[angle];
        const origin = bones.origins[FREE[angle].bone];
        const x = moved[0] - share * origin[0];
        const y = moved[1] - share * origin[1];
        const z = moved[2] - share * origin[2];
        const first = 3 * point * columns + angle;
        derivatives[first] += axis[1] * z - axis[2] * y;
        derivatives[first + columns] += axis[2] * x - axis[0] * z;
        derivatives[first + 2 * columns] += axis[0] * y - axis[1] * x;
      }
    }
    return { points, derivatives };
  }

  /** Forward kinematics. */
  private bones({ angles, shape }: Posture): Bones {
    const bones: Bones = { rotations: [], shifts: [], origins: [], axes: [] };
    PARENTS.forEach((parent, bone) => {
      const above: Float64Array = bones.rotations[parent] ?? IDENTITY;
      let rotation = above;
      for (const angle of ANGLES_OF_BONE[bone]) {
        const axis = this.axes[angle];
        bones.axes[angle] = transformPoints(rotation, axis);
        rotation = multiply(rotation, rotationAbout(axis, angles[angle]));
      }
      const difference = rotation.map((value, index) => above[index] - value);
      const shift = transformPoints(difference, this.origins[bone]); // a bone turns about where it begins
      bones.shifts[parent]?.forEach((value, index) => (shift[index] += value));
      bones.rotations.push(rotation);
      bones.shifts.push(shift);
      bones.origins.push(transformPoints(rotation, shaped(this.origins[bone], shape), 1, shaped(shift, shape)));
    });
    return bones;
  }

  /** One (1 + S, 3) of points and their changes with the shape (1 + S, N, 3). */
  private shapedPoint(points: Float64Array, index: number): Float64Array {
    const length = points.length / (1 + this.numShapes);
    return Float64Array.from({ length: 3 * (1 + this.numShapes) }, (_, at) => {
      return points[Math.floor(at / 3) * length + 3 * index + (at % 3)];
    });
  }

  private partsOfPoints(): Part[] {
    const parts = new Map<number, Part>(); // by point and bone
    this.mixture.values.forEach((amount, entry) => {
      const point = this.mixture.rows[entry];
      const vertex = this.mixture.columns[entry];
      const rest = this.shapedPoint(this.vertices, vertex);
      for (const { bone, weight } of this.bonesOf(vertex)) {
        const share = amount * weight;
        const key = point * NUM_BONES + bone;
        const part = parts.get(key) ?? { point, bone, share: 0, rest: new Float64Array(rest.length) };
        parts.set(key, part);
        part.share += share;
        rest.forEach((value, index) => (part.rest[index] += share * value));
      }
    });
    return [...parts.values()];
  }
}

function joined(first: Float64Array, second: Float64Array): Float64Array {
  const both = new Float64Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

/** Numbers (N,) of a hand of a shape (S,), from those of the mean hand and their changes with the shape (1 + S, N). */
function shaped(parts: Float64Array, shape: Float64Array): Float64Array {
  const length = parts.length / (1 + shape.length);
  const sum = parts.slice(0, length);
  for (let number = 0; number < shape.length; number++) {
    const share = shape[number];
    const start = (number + 1) * length;
    for (let index = 0; index < length; index++) sum[index] += share * parts[start + index];
  }
  return sum;
}
