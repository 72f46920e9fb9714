/** What the page gets to know of a hand. */

import type { PoseNumbers } from "../hand/pose";
import type { Hand, Side } from "../hand/types";

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
export interface SeenHand
  extends Pick<Hand, "sideProbability" | "landmarks_px" | "residual_px" | "success" | "knownSize" | "depthDeviation_m"> {
  /** As of `FoundHand`; null where the detector was not asked. */
  presence: number | null;
}
