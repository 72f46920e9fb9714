/** Palms in a picture: MediaPipe's single-shot detector (Zhang et al. 2020). */

import { allMoved, inverse } from "./homography";
import { longerSide, overlap } from "./boxes";
import { mean } from "./confidence";
import type { OnnxModel } from "./runtime";
import type { Picture } from "./types";
import { cutSquare, resized, type Part, type Pixels } from "./warp";

const INPUT_PX = 192;
const GRIDS = [
  { cells: 24, anchors: 2 },
  { cells: 12, anchors: 6 },
];
// Wrist, knuckles of index, middle, ring and little finger, two joints of the thumb, by FreiHAND's numbers.
const KEYPOINT_JOINTS = [0, 5, 9, 13, 17, 1, 2];
const KEYPOINTS = KEYPOINT_JOINTS.length;
const SAME_PALM = 0.5; // largest mean distance of key points and joints of one hand, in sizes of the palm's box
const ROW = 4 + 2 * KEYPOINTS; // numbers that the network says of an anchor
const WRIST = 0;
const MIDDLE_KNUCKLE = 2;
const MIN_SCORE = 0.3; // low: the landmark network says of each whether it is a hand
const SAME_HAND_IOU = 0.3;
const TILE_SHARE = 0.4; // longer side of a tile, of the picture's,
const TILE_LEAST_PX = 256; // and at least
const TILE_STEP = 0.7; // largest step to the next tile, in sides
const ROI_SIZE = 2.6; // of the hand, in sizes of the palm's box,
const ROI_SHIFT = 0.5; // shifted towards the fingers

/** A turned square of a picture. */
export class Roi {
  /**
   * @param center_px its middle.
   * @param size_px its side.
   * @param angle radians by which its up direction is turned clockwise from the picture's.
   */
  constructor(
    readonly center_px: readonly [number, number],
    readonly size_px: number,
    readonly angle: number,
  ) {}

  /** Pixel of the picture to pixel of the square at size x size. */
  private toSquare(size: number): Float64Array {
    const scale = size / this.size_px;
    const [cosine, sine] = [scale * Math.cos(this.angle), scale * Math.sin(this.angle)];
    const [x, y] = this.center_px;
    const middle = (size - 1) / 2;
    return Float64Array.of(
      cosine, sine, middle - cosine * x - sine * y,
      -sine, cosine, middle + sine * x - cosine * y,
      0, 0, 1,
    );
  }

  /** The square (size, size), black outside of the picture. */
  cut(picture: Picture, size: number): Pixels {
    return cutSquare(picture, this.toSquare(size), size);
  }

  /** Pixels (N, 2) of the square at size x size as pixels of the picture. */
  toPicture(points_px: Float64Array, size: number): Float64Array {
    return allMoved(inverse(this.toSquare(size)), points_px);
  }
}

/** A palm that was found. */
export interface Palm {
  /** 0 to 1. */
  score: number;
  /** (4,) left, top, right, bottom. */
  box_px: Float64Array;
  /** (7, 2). */
  keypoints_px: Float64Array;
}

/** Where the whole hand of a palm is, upright. */
export function handRoi(palm: Palm): Roi {
  const at = palm.keypoints_px;
  const angle = Math.atan2(at[2 * MIDDLE_KNUCKLE] - at[2 * WRIST], at[2 * WRIST + 1] - at[2 * MIDDLE_KNUCKLE + 1]);
  const [left, top, right, bottom] = palm.box_px;
  const shift = ROI_SHIFT * (bottom - top);
  const center: [number, number] = [
    (left + right) / 2 + shift * Math.sin(angle),
    (top + bottom) / 2 - shift * Math.cos(angle),
  ];
  return new Roi(center, ROI_SIZE * longerSide(palm.box_px), angle);
}

/** Whether it is the palm of a hand with landmarks (21, 2). */
export function isPalmOf(palm: Palm, landmarks_px: Float64Array): boolean {
  const off = KEYPOINT_JOINTS.map((joint, point) => {
    return Math.hypot(...[0, 1].map((axis) => landmarks_px[2 * joint + axis] - palm.keypoints_px[2 * point + axis]));
  });
  return mean(off) < SAME_PALM * longerSide(palm.box_px);
}

/** Finds palms of about a twentieth of the picture's longer side and more, by tiles also smaller ones. */
export class PalmDetector {
  private readonly anchors = anchorCenters();

  constructor(private readonly network: OnnxModel) {}

  /** Palms in a picture or a part of it, best first. */
  async find(picture: Picture, part: Part = { left: 0, top: 0, width: picture.width, height: picture.height }): Promise<Palm[]> {
    const { left, top, width, height } = part;
    const scale = INPUT_PX / Math.max(height, width);
    const size = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))] as const;
    const margin = [Math.floor((INPUT_PX - size[0]) / 2), Math.floor((INPUT_PX - size[1]) / 2)] as const;
    const small = resized(picture, part, size[0], size[1]);
    const input = new Float32Array(3 * INPUT_PX * INPUT_PX);
    for (let y = 0; y < size[1]; y++) {
      const row = small.data.subarray(3 * size[0] * y, 3 * size[0] * (y + 1));
      input.set(unitRange(row), 3 * ((y + margin[1]) * INPUT_PX + margin[0]));
    }
    const found = await this.network.run({ image: { data: input, shape: [1, INPUT_PX, INPUT_PX, 3] } });
    const toPx = [width / size[0], height / size[1]] as const;
    const palms: Palm[] = [];
    this.anchors.forEach((anchor, index) => {
      const score = 1 / (1 + Math.exp(-found["scores"][index]));
      if (score <= MIN_SCORE) return;
      const row = found["boxes"].subarray(ROW * index, ROW * (index + 1));
      const place = (k: number): number =>
        left * (1 - (k % 2)) + top * (k % 2) + (row[k] + anchor[k % 2] * INPUT_PX - margin[k % 2]) * toPx[k % 2] - 0.5;
      const [x, y] = [place(0), place(1)];
      const half = [(row[2] * toPx[0]) / 2, (row[3] * toPx[1]) / 2] as const;
      const keypoints_px = Float64Array.from({ length: 2 * KEYPOINTS }, (_, k) => place(4 + k));
      palms.push({ score, box_px: Float64Array.of(x - half[0], y - half[1], x + half[0], y + half[1]), keypoints_px });
    });
    return merged(palms);
  }

  /** Palms in overlapping parts of a picture, best first; nothing in a small one, which is one part. */
  async findInTiles(picture: Picture): Promise<Palm[]> {
    const palms: Palm[] = [];
    for (const tile of tiles(picture.width, picture.height)) palms.push(...(await this.find(picture, tile)));
    return merged(palms);
  }
}

/** Colours from 0 to 1. */
export function unitRange(values: Uint8ClampedArray): Float32Array {
  return Float32Array.from(values, (value) => value / 255);
}

/** The parts that cover a picture: squares, less where the picture is narrower. */
function tiles(width: number, height: number): Part[] {
  const longer = Math.max(width, height);
  if (longer <= TILE_LEAST_PX) return [];
  const side = Math.max(TILE_LEAST_PX, Math.round(TILE_SHARE * longer));
  const starts = (length: number): number[] => {
    const room = Math.max(length - side, 0);
    const steps = Math.ceil(room / (TILE_STEP * side));
    return Array.from({ length: steps + 1 }, (_, step) => Math.round(steps ? (room * step) / steps : 0));
  };
  const [own, high] = [Math.min(side, width), Math.min(side, height)];
  return starts(height).flatMap((top) => starts(width).map((left) => ({ left, top, width: own, height: high })));
}

/** Centres of the anchors, from 0 to 1 across the input. */
function anchorCenters(): [number, number][] {
  const centers: [number, number][] = [];
  for (const { cells, anchors } of GRIDS) {
    for (let cell = 0; cell < cells * cells; cell++) {
      const center: [number, number] = [((cell % cells) + 0.5) / cells, (Math.floor(cell / cells) + 0.5) / cells];
      for (let anchor = 0; anchor < anchors; anchor++) centers.push(center);
    }
  }
  return centers;
}

/** Non-maximum suppression; palms of one hand are averaged by their scores. */
function merged(palms: Palm[]): Palm[] {
  const result: Palm[] = [];
  let rest = [...palms].sort((one, other) => other.score - one.score);
  while (rest.length) {
    const best = rest[0];
    const group = rest.filter((palm) => palm === best || overlap(best.box_px, palm.box_px) > SAME_HAND_IOU);
    rest = rest.filter((palm) => !group.includes(palm));
    const total = group.reduce((sum, palm) => sum + palm.score, 0);
    const mean = (values: (palm: Palm) => Float64Array): Float64Array =>
      values(best).map((_, k) => group.reduce((sum, palm) => sum + palm.score * values(palm)[k], 0) / total);
    result.push({ score: best.score, box_px: mean((palm) => palm.box_px), keypoints_px: mean((palm) => palm.keypoints_px) });
  }
  return result;
}
