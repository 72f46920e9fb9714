/**
 * What the parts of the page say to each other. Pixels have their centres at integers; camera space is x right, y down,
 * z forward, metres.
 */

export type Side = "right" | "left";

export interface Camera {
  /** (9,) intrinsics (3, 3), row by row, pixels. */
  K: Float64Array;
}

/** An upright picture. */
export interface Picture {
  width: number;
  height: number;
  /** (H, W, 4) red, green, blue, alpha. */
  data: Uint8ClampedArray;
}

/** What the detector says of a hand. */
export interface FoundHand {
  /** (21, 2). */
  landmarks_px: Float64Array;
  /** 0 to 1, that this is a hand. */
  presence: number;
  /** 0 to 1, that it is a right one. */
  right: number;
}

/** What the network says of a hand; joints are in FreiHAND's order. */
export interface Hand {
  side: Side;
  /** Null where the detector was not asked. */
  found: FoundHand | null;
  camera: Camera;
  /** (V, 3). */
  vertices_m: Float64Array;
  /** (21, 3). */
  joints_m: Float64Array;
  /** (21, 2). */
  landmarks_px: Float64Array;
  /** (21,) 0 to 1. */
  landmarkConfidence: Float64Array;
  /** Of the registration, in pixels of the crop. */
  residual_px: number;
  /** Whether the position in camera space can be relied upon. */
  success: boolean;
  /** That the hand is of this side, by its looks. */
  sideProbability: number;
  /** 0 to 1, that the joints are about right after alignment. */
  confidence: number;
  /** Whether size and depth follow from a known length of the hand. */
  knownSize: boolean;
  /** Standard deviation of the wrist's depth if K is right. */
  depthDeviation_m: number;
}

/** Where to look for a hand, and which one to see there. */
export interface Look {
  found: FoundHand | null;
  /** (21, 2) to look around. */
  landmarks_px: Float64Array;
  left: boolean;
}

/** What following hands needs; `handLength_m` is from the wrist along the bones to the tip of the middle finger. */
export interface Finder {
  /** What the detector finds in a picture besides the hands whose landmarks (21, 2) are known. */
  others(picture: Picture, known_px: Float64Array[]): Promise<FoundHand[]>;
  /** The hands that it found. */
  see(picture: Picture, camera: Camera, found: FoundHand[], handLength_m: number | null): Promise<Hand[]>;
  /** A hand for each place to look at, whatever is there. */
  look(picture: Picture, camera: Camera, looks: Look[], handLength_m: number | null): Promise<Hand[]>;
  /** Probability that there is a hand at landmarks (21, 2). */
  presence(picture: Picture, landmarks_px: Float64Array): Promise<number>;
}
