/** How sure a hand is: of its pose, and of its side. */

/** Weights fitted on held-out data; `handmesh/confidence.py` says of what. */
export interface Calibration {
  weights: number[];
  good_mm: number;
  depth_weights: number[] | null;
  known_depth_weights: number[] | null;
}

/** Probability that a hand is good. */
export function goodProbability(calibration: Calibration, residual_px: number, clearness: number): number {
  return 1 / (1 + Math.exp(-dot(calibration.weights, features(residual_px, clearness))));
}

/** Standard deviation of a hand's depth, as a share of it; NaN where that is not known. */
export function depthDeviation(calibration: Calibration, residual_px: number, clearness: number, knownSize: boolean): number {
  const weights = knownSize ? calibration.known_depth_weights : calibration.depth_weights;
  return weights === null ? NaN : Math.exp(dot(weights, features(residual_px, clearness)));
}

/** Logarithm of a residual, cut off where it no longer says anything. */
export function logResidual(residual_px: number): number {
  return Math.log(Math.min(Math.max(residual_px, 0.1), 1e3));
}

/** Logarithm of the odds, cut off at one in a thousand. */
export function logOdds(probability: number): number {
  const cut = Math.min(Math.max(probability, 1e-3), 1 - 1e-3);
  return Math.log(cut / (1 - cut));
}

export function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum / values.length;
}

export function dot(one: number[], other: number[]): number {
  return one.reduce((sum, value, index) => sum + value * other[index], 0);
}

function features(residual_px: number, clearness: number): number[] {
  return [1, logResidual(residual_px), clearness];
}
