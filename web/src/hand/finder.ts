/** From any picture to the hands in it, in front of its camera: detection, a camera for each hand, the network. */

import { boxAround, containment, SAME_HAND_SHARE } from "./boxes";
import { depthDeviation, dot, goodProbability, logOdds, logResidual, mean } from "./confidence";
import { HandDetector, roiAround } from "./detector";
import { handLength } from "./joints";
import type { CropPredictor } from "./predictor";
import type { Camera, Finder, FoundHand, Hand, Look, Picture } from "./types";
import { viewOf } from "./view";

// Residual, in the crop, above which a hand is looked for again: the crop may have held half of it; first in a wider
// crop, then around what was seen there.
const DOUBTFUL_PX = 8;
const SURE = 0.95; // probability of a side below which the other one is looked at as well
// Log odds of a side: weights of the log odds that detector and network say, of the mean confidence of the landmarks and
// of the log of the residual in pixels (`scripts/fit_sides.py`).
const SIDE_WEIGHTS = [0.16, 0.58, 0.1, -0.43];

/** The networks ready to use on pictures. */
export class HandFinder implements Finder {
  constructor(
    private readonly detector: HandDetector,
    private readonly predictor: CropPredictor,
  ) {}

  /** Find the hands of a picture. */
  async find(picture: Picture, camera: Camera, handLength_m: number | null = null): Promise<Hand[]> {
    return this.see(picture, camera, await this.detector.find(picture), handLength_m);
  }

  /** What the palm detector leads to besides the hands whose landmarks (21, 2) are known. */
  others(picture: Picture, known_px: Float64Array[]): Promise<FoundHand[]> {
    return this.detector.others(picture, known_px);
  }

  /** The hands that the detector found. */
  async see(picture: Picture, camera: Camera, found: FoundHand[], handLength_m: number | null): Promise<Hand[]> {
    const look = (looks: Look[], margin?: number): Promise<Hand[]> => this.look(picture, camera, looks, handLength_m, margin);
    let hands = await look(found.map((one) => ({ found: one, landmarks_px: one.landmarks_px, left: one.right < 0.5 })));
    const unsure = hands.filter((hand) => hand.sideProbability < SURE);
    const others = await look(
      unsure.map(({ found: one, side }) => ({ found: one, landmarks_px: one!.landmarks_px, left: side === "right" })),
    );
    hands = hands.map((hand) => likeliest([hand, ...ofSame(hand, others)]));
    const doubtful = hands.filter((hand) => hand.residual_px > DOUBTFUL_PX);
    const wide = this.predictor.description.traits.far_margin;
    if (wide === null || !doubtful.length) return hands;
    const near = await look((await look(doubtful.map(again), wide)).map(again));
    return hands.map((hand) => {
      const box = boxAround(hand.landmarks_px);
      const same = ofSame(hand, near).filter((one) => containment(box, boxAround(one.landmarks_px)) >= SAME_HAND_SHARE);
      return likeliest([hand, ...same]);
    });
  }

  /** A hand for each place to look at, whatever is there; `margin` of the crop over the box of the landmarks. */
  async look(
    picture: Picture,
    camera: Camera,
    looks: Look[],
    handLength_m: number | null = null,
    margin: number = this.predictor.description.traits.margin,
  ): Promise<Hand[]> {
    if (!looks.length) return [];
    const { size_px, calibration } = this.predictor.description;
    const views = looks.map(({ landmarks_px, left }) => viewOf(landmarks_px, camera.K, size_px, margin, left));
    const crops = views.map((view) => view.cut(picture, camera.K));
    const seen = await this.predictor.predict(crops, views.map((view) => view.K));
    const knownSize = handLength_m !== null;
    return seen.map((hand, index): Hand => {
      const view = views[index];
      const joints = view.toPictureFrame(hand.joints_m);
      const scale = handLength_m === null ? 1 : handLength_m / handLength(joints);
      const clearness = mean(hand.landmarkConfidence);
      const deviation = depthDeviation(calibration, hand.residual_px, clearness, knownSize);
      return {
        side: view.mirrored ? "left" : "right",
        found: looks[index].found,
        camera,
        vertices_m: view.toPictureFrame(hand.vertices_m).map((value) => value * scale),
        joints_m: joints.map((value) => value * scale),
        landmarks_px: view.toPicture(hand.landmarks_px, camera.K),
        landmarkConfidence: hand.landmarkConfidence,
        residual_px: hand.residual_px,
        success: hand.success,
        sideProbability: 1 - hand.mirrored,
        confidence: goodProbability(calibration, hand.residual_px, clearness),
        knownSize,
        depthDeviation_m: deviation * joints[2] * scale,
      };
    });
  }

  /** Probability that there is a hand whose landmarks (21, 2) are about these. */
  async presence(picture: Picture, landmarks_px: Float64Array): Promise<number> {
    return (await this.detector.landmarks(picture, roiAround(landmarks_px))).presence;
  }
}

/** A look around the landmarks of a hand, as one of its side. */
function again(hand: Hand): Look {
  return { found: hand.found, landmarks_px: hand.landmarks_px, left: hand.side === "left" };
}

/** Other looks at what was found as this hand. */
function ofSame(hand: Hand, others: Hand[]): Hand[] {
  return others.filter((other) => other.found === hand.found);
}

/** The hand whose side is likeliest: one taken for the other side looks like it, is blurred, and its mesh fits less. */
function likeliest(hands: Hand[]): Hand {
  return hands.reduce((best, hand) => (sideScore(hand) > sideScore(best) ? hand : best));
}

function sideScore(hand: Hand): number {
  const told = toldRight(hand.found);
  const own = hand.side === "right" ? told : 1 - told;
  return dot(SIDE_WEIGHTS, [
    logOdds(own),
    logOdds(hand.sideProbability),
    mean(hand.landmarkConfidence),
    logResidual(hand.residual_px),
  ]);
}

function toldRight(found: FoundHand | null): number {
  return found === null ? 0.5 : found.right;
}
