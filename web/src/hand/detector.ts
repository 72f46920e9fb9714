/** Hands in a picture: palms, then the landmark network on each, which says whether it is a hand, and which one. */

import { boxAround, containment, longerSide, SAME_HAND_SHARE } from "./boxes";
import { lean, NUM_JOINTS } from "./joints";
import { handRoi, isPalmOf, PalmDetector, Roi, unitRange, type Palm } from "./palm";
import type { OnnxModel } from "./runtime";
import type { FoundHand, Picture } from "./types";

const LANDMARK_PX = 224;
export const MIN_PRESENCE = 0.5;
const CLEAR = 0.9; // presence, or probability of either side, that needs no second look,
const HOPELESS = 0.05; // and presence that does not get one
const ROI_SIZE = 1.6; // of that look, in sizes of the landmarks' box
const QUARTERS = [0, 1, 2, 3].map((quarter) => (quarter * Math.PI) / 2);
const CROP_ROI_SIZE = 1.15; // of a picture that is a crop already, in its longer side

/** A square around landmarks (21, 2), upright. */
export function roiAround(landmarks_px: Float64Array): Roi {
  const box = boxAround(landmarks_px);
  const center = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2] as const;
  return new Roi(center, ROI_SIZE * longerSide(box), lean(landmarks_px));
}

/** Finds the hands of a picture. */
export class HandDetector {
  private readonly palms: PalmDetector;

  constructor(
    palmDetection: OnnxModel,
    private readonly network: OnnxModel,
  ) {
    this.palms = new PalmDetector(palmDetection);
  }

  /** Hands of a picture, best first; the whole of it where the palm detector finds nothing clear. */
  async find(picture: Picture): Promise<FoundHand[]> {
    const hands = await this.others(picture, []);
    if (hands.length > 1 || (hands[0] && hands[0].presence > CLEAR)) return hands;
    const whole = await this.inWhole(picture);
    if (whole.presence > Math.max(MIN_PRESENCE, ...hands.map((hand) => hand.presence))) return [whole];
    return hands.length ? hands : this.ofPalms(picture, await this.palms.findInTiles(picture));
  }

  /** What the palm detector leads to besides the hands whose landmarks (21, 2) are known, best first. */
  async others(picture: Picture, known_px: Float64Array[]): Promise<FoundHand[]> {
    const palms = await this.palms.find(picture);
    return this.ofPalms(picture, palms.filter((palm) => !known_px.some((landmarks) => isPalmOf(palm, landmarks))));
  }

  /** What the landmark network says of a square. */
  async landmarks(picture: Picture, roi: Roi): Promise<FoundHand> {
    const image = unitRange(roi.cut(picture, LANDMARK_PX).data);
    const found = await this.network.run({ image: { data: image, shape: [1, LANDMARK_PX, LANDMARK_PX, 3] } });
    const points = found["landmarks"]; // x, y and depth
    const inSquare = Float64Array.from({ length: 2 * NUM_JOINTS }, (_, at) => points[3 * (at >> 1) + (at & 1)] - 0.5);
    const landmarks_px = roi.toPicture(inSquare, LANDMARK_PX);
    return { landmarks_px, presence: found["presence"][0], right: found["right"][0] };
  }

  /** The hands that palms belong to, each once. */
  private async ofPalms(picture: Picture, palms: Palm[]): Promise<FoundHand[]> {
    const hands: FoundHand[] = [];
    for (const palm of palms) {
      const hand = await this.surer(picture, await this.landmarks(picture, handRoi(palm)));
      if (hand.presence > MIN_PRESENCE) hands.push(hand);
    }
    hands.sort((one, other) => other.presence - one.presence);
    const kept: FoundHand[] = [];
    for (const hand of hands) {
      const box = boxAround(hand.landmarks_px);
      if (kept.every((one) => containment(box, boxAround(one.landmarks_px)) < SAME_HAND_SHARE)) kept.push(hand);
    }
    return kept;
  }

  /** The hand that fills the picture, whichever way it is turned. */
  private async inWhole(picture: Picture): Promise<FoundHand> {
    const { width, height } = picture;
    let best: FoundHand | null = null;
    for (const angle of QUARTERS) {
      const roi = new Roi([(width - 1) / 2, (height - 1) / 2], CROP_ROI_SIZE * Math.max(width, height), angle);
      const hand = await this.landmarks(picture, roi);
      if (best === null || hand.presence > best.presence) best = hand;
    }
    return this.surer(picture, best!);
  }

  /** The hand, looked at again where its own landmarks put it if it was not clear, whichever is the clearer. */
  private async surer(picture: Picture, hand: FoundHand): Promise<FoundHand> {
    const clear = hand.presence > CLEAR && Math.abs(hand.right - 0.5) > CLEAR - 0.5;
    if (clear || hand.presence < HOPELESS) return hand;
    const again = await this.landmarks(picture, roiAround(hand.landmarks_px));
    return again.presence > hand.presence ? again : hand;
  }
}
