/** The bones of the open hand: names, hierarchy, and how far each joint turns. */

export const FINGERS = ["thumb", "index", "middle", "ring", "little"] as const;

/** (B,) The wrist bone holds the palm and is the root; the forearm hangs on it: a pose is given from the hand. */
export const BONES: readonly string[] = [
  "wrist",
  "forearm",
  "ring_metacarpal",
  "little_metacarpal",
  ...FINGERS.flatMap((finger) => [1, 2, 3].map((part) => `${finger}_${part}`)),
];

/** (B,) the bone that each hangs on, which comes before it; -1 for the root. */
export const PARENTS: readonly number[] = BONES.map((name) => {
  const [finger, part] = name.split("_");
  if (part === "2" || part === "3") return BONES.indexOf(`${finger}_${Number(part) - 1}`);
  if (part === "1" && (finger === "ring" || finger === "little")) return BONES.indexOf(`${finger}_metacarpal`);
  return name === "wrist" ? -1 : 0;
});

/**
 * Angles of a joint, in the order in which they are stored. Flexion bends towards the palm; abduction spreads a finger
 * away from the middle one (the middle finger towards the thumb) and lifts the thumb off the palm; twist turns about
 * the bone, the thumb's pad towards the fingers.
 */
const AXES = ["flexion", "abduction", "twist"] as const;

/** The order in which they act on a bone: abduction after flexion after twist. */
export const OUTER_TO_INNER: readonly number[] = [1, 0, 2];

type Range = readonly [number, number];

/**
 * Smallest and largest flexion, abduction and twist, degrees from the rest pose, an open hand with fingers apart; of
 * the joints and angles in which poses differ.
 */
const LIMITS_DEG: Readonly<Record<string, readonly Range[]>> = {
  ...Object.fromEntries(FINGERS.map((finger) => [`${finger}_2`, [[-14, 100]]])),
  ...Object.fromEntries(FINGERS.map((finger) => [`${finger}_3`, [[-12, 68]]])),
  ring_metacarpal: [[0, 9]],
  little_metacarpal: [[0, 17]],
  thumb_1: [[-22, 32], [-28, 26], [-8, 40]],
  thumb_2: [[-14, 55], [-8, 8]],
  thumb_3: [[-18, 78]],
  index_1: [[-32, 82], [-17, 12]],
  middle_1: [[-32, 82], [-8, 8]],
  ring_1: [[-32, 82], [-20, 6]],
  little_1: [[-32, 82], [-27, 14]],
};

const THUMB_JOINTS: Readonly<Record<string, string>> = { "1": "cmc", "2": "mcp", "3": "ip" };
const FINGER_JOINTS: Readonly<Record<string, string>> = { metacarpal: "cmc", "1": "mcp", "2": "pip", "3": "dip" };

/** An angle in which poses differ. */
export interface FreeAngle {
  bone: number;
  /** Flexion, abduction or twist: 0, 1 or 2. */
  axis: number;
  /** Anatomical, such as `index_pip_flexion`. */
  name: string;
  /** Limits in radians. */
  least: number;
  largest: number;
}

/** (D,) the angles in which poses differ. */
export const FREE: readonly FreeAngle[] = BONES.flatMap((boneName, bone) => {
  const [finger, part] = boneName.split("_");
  const joint = (finger === "thumb" ? THUMB_JOINTS : FINGER_JOINTS)[part];
  return (LIMITS_DEG[boneName] ?? []).map(([least_deg, largest_deg], axis) => ({
    bone,
    axis,
    name: `${finger}_${joint}_${AXES[axis]}`,
    least: (least_deg * Math.PI) / 180,
    largest: (largest_deg * Math.PI) / 180,
  }));
});

/** (D,) their names. */
export const ANGLE_NAMES: readonly string[] = FREE.map((angle) => angle.name);
