/** What the page gets to know of a hand. */

import type { PoseNumbers } from "../hand/pose";
import type { Side } from "../hand/types";

/** A hand in a picture or a frame; camera space is x right, y down, z forward. */
export interface ShownHand {
  side: Side;
  /** Number of the hand: the same in all frames of a clip. */
  track: number;
  /** (9,) of the picture. */
  K: Float64Array;
  vertices_m: Float64Array;
  joints_m: Float64Array;
  /** Whether it was not seen in this frame: it is shown where it should be. */
  bridged: boolean;
  confidence: number;
  /** What was seen of it; null while it is bridged. */
  seen: SeenHand | null;
  pose: PoseNumbers;
}

/** What the networks say of a hand beside its mesh. */
export interface SeenHand {
  presence: number | null;
  sideProbability: number;
  landmarks_px: Float64Array;
  residual_px: number;
  success: boolean;
  knownSize: boolean;
  depthDeviation_m: number;
}
