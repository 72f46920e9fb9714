/** What is said of the hands in words: the table, and the joint angles under the pointer. */

import type { ShownHand } from "../engine/results";
import type { HandModel } from "../hand/handModel";
import { HandPose } from "../hand/pose";
import { BONES, FINGERS } from "../hand/skeleton";
import { element } from "./dom";

/** Fill the table. */
export function showHands(hands: readonly ShownHand[], model: HandModel): void {
  const body = document.createElement("tbody");
  for (const hand of hands) {
    const row = body.insertRow();
    const cells = [sideOf(hand), distanceOf(hand), percent(hand.seen?.sideProbability), confidenceOf(hand), bendsOf(hand, model)];
    for (const text of cells) row.insertCell().textContent = text;
  }
  element("hands").querySelector("tbody")!.replaceWith(body);
}

/** Show the joint angles of the finger at a vertex of a hand; nothing of null. */
export function showAngles(at: { hand: ShownHand; vertex: number } | null, model: HandModel | null): void {
  const place = element("angles");
  place.hidden = true;
  if (!at || !model) return;
  const [finger] = BONES[model.bonesOf(at.vertex)[0].bone].split("_");
  const own = Object.entries(new HandPose(model, at.hand.pose).jointAngles_deg).filter(([name]) => name.startsWith(`${finger}_`));
  if (!own.length) return;
  const lines = own.map(([name, angle]) => `${name.split("_").slice(1).join(" ")} ${Math.round(angle)}°`);
  place.textContent = [`${at.hand.side} ${finger}`, ...lines].join("\n");
  place.hidden = false;
}

/** Say how long calls of the networks take on average. */
export function showTimings(timings: Record<string, { ms: number; calls: number }>): void {
  const parts = Object.entries(timings).map(([name, { ms, calls }]) => `${name} ${ms.toFixed(1)} ms (${calls} calls)`);
  element("timings").querySelector("p")!.textContent = parts.join(", ");
}

function sideOf({ side, bridged }: ShownHand): string {
  return bridged ? `${side} (hidden)` : side;
}

function distanceOf({ joints_m, seen }: ShownHand): string {
  const centimetres = (value: number): string => (100 * value).toFixed(1);
  const depth = `${centimetres(joints_m[2])} cm`;
  if (!seen) return depth;
  if (!seen.success) return `${depth}, not reliable`;
  return Number.isFinite(seen.depthDeviation_m) ? `${depth} ± ${centimetres(seen.depthDeviation_m)}` : depth;
}

function confidenceOf({ confidence, bridged }: ShownHand): string {
  return bridged ? "" : percent(confidence);
}

/** How much each joint of each finger is bent, from the palm to the tip. */
function bendsOf({ pose }: ShownHand, model: HandModel): string {
  const angles = Object.entries(new HandPose(model, pose).jointAngles_deg);
  const bends = (finger: string): string[] =>
    angles.flatMap(([name, angle]) => (name.startsWith(finger) && name.endsWith("flexion") ? [`${Math.round(angle)}°`] : []));
  return FINGERS.map((finger) => `${finger} ${bends(finger).join(" ")}`).join(", ");
}

function percent(share: number | undefined): string {
  return share === undefined || Number.isNaN(share) ? "" : `${Math.round(100 * share)} %`;
}
