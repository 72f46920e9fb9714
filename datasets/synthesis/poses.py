"""Hand poses that people make: families with the correlations of real fingers, settled so that nothing intersects."""

from dataclasses import dataclass, field

import numpy as np

from datasets.synthesis.contact import LIMITS, Settler
from handmesh.skeleton import ABDUCTION, BONE_INDEX, FINGERS, FLEXION, NUM_BONES, TWIST

LONG_FINGERS = FINGERS[1:]

# How often each family is drawn. Degrees below are from the rest pose, as in `skeleton`.
FAMILIES = {
    "relaxed": 0.15,
    "flat": 0.12,
    "fist": 0.13,
    "pointing": 0.10,
    "counting": 0.13,
    "pinch": 0.14,
    "grasp": 0.13,
    "claw": 0.04,
    "free": 0.06,
}
SPREAD_CLOSED = {"index": -12.0, "middle": 0.0, "ring": -12.0, "little": -20.0}  # abduction of fingers side by side
CURLED = (74.0, 92.0, 50.0)  # knuckle, middle and end joint of a finger in a fist
STRAIGHT = (-6.0, -6.0, -6.0)
END_SHARE = (0.1, 0.8)
KNUCKLE_SHIFT_DEGREES = 12.0
FLAW_LIMIT_M = 0.004  # penetrations and gaps above this can be seen; such a pose is drawn again
ATTEMPTS = 12


@dataclass(frozen=True)
class HeldObject:
    """A capsule in the hand, in the palm's frame, metres; a ball where both ends are one point."""

    start: np.ndarray
    end: np.ndarray
    radius: float


@dataclass(frozen=True)
class Pose:
    """A settled pose.

    Attributes:
        family: one of `FAMILIES`.
        angles: (B, 3) flexion, abduction and twist, radians.
        held: what the fingers close around, or None.
    """

    family: str
    angles: np.ndarray
    held: HeldObject | None = None


@dataclass
class Sketch:
    """A wanted pose in degrees, with the contacts it asks for.

    Attributes:
        end_share: how much an end joint bends with the middle one.
        knuckle_shift: how much more the knuckles and how much less the middle joints of half curled fingers bend.
    """

    end_share: float
    knuckle_shift: float
    angles: np.ndarray = field(default_factory=lambda: np.zeros((NUM_BONES, 3)))
    touches: list = field(default_factory=list)
    held: HeldObject | None = None

    def bend(self, finger: str, flexion: tuple[float, float, float]) -> None:
        for part, value in enumerate(flexion, start=1):
            self.angles[BONE_INDEX[f"{finger}_{part}"], FLEXION] = value

    def spread(self, finger: str, abduction: float) -> None:
        self.angles[BONE_INDEX[f"{finger}_1"], ABDUCTION] = abduction

    def thumb(self, across: float, lift: float, turn: float, middle: float, end: float) -> None:
        self.bend("thumb", (across, middle, end))
        self.spread("thumb", lift)
        self.angles[BONE_INDEX["thumb_1"], TWIST] = turn


def sample_pose(rng: np.random.Generator, settler: Settler, families: dict[str, float] | None = None) -> Pose:
    """Draw a pose for a hand. `families` gives other odds than `FAMILIES`."""
    odds = FAMILIES if families is None else families
    weights = np.array(list(odds.values()))
    family = str(rng.choice(list(odds), p=weights / weights.sum()))
    best, least = None, np.inf
    for _ in range(ATTEMPTS):
        sketch = Sketch(rng.uniform(*END_SHARE), rng.normal(0, KNUCKLE_SHIFT_DEGREES))
        SKETCHES[family](rng, sketch, settler)
        _metacarpals(sketch)
        _forearm(rng, sketch)
        held = [] if sketch.held is None else [(sketch.held.start, sketch.held.end, sketch.held.radius)]
        angles, penetration, gap = settler.settle(np.deg2rad(sketch.angles), sketch.touches, held)
        if (flaw := max(penetration, gap)) < least:
            best, least = Pose(family, angles, sketch.held), flaw
        if least < FLAW_LIMIT_M:
            break
    return best


def blend(curl: float, straight: tuple = STRAIGHT, curled: tuple = CURLED) -> np.ndarray:
    """Flexion (3,) of a finger between straight (0) and curled (1), degrees."""
    return np.array(straight) + curl * (np.array(curled) - np.array(straight))


def _curl(rng: np.random.Generator, sketch: Sketch, finger: str, curl: float, noise: float = 6.0) -> None:
    """Bend a finger by a share of a fist. The end joint follows the middle one, more in some hands and less in others:
    tendons tie them, but what is touched bends them."""
    knuckle, middle, end = blend(curl) + rng.normal(0, noise, 3)
    shift = sketch.knuckle_shift * max(0.0, 1 - abs(2 * curl - 1))
    middle -= shift
    if middle > 0:
        end = sketch.end_share * middle + rng.normal(0, noise)
    sketch.bend(finger, (knuckle + shift, middle, end))


def _fan(rng: np.random.Generator, sketch: Sketch, openness: float, noise: float = 2.5) -> None:
    """Spread the fingers: 0 side by side, 1 as at rest, more beyond. Bent fingers cannot spread."""
    for finger in LONG_FINGERS:
        bent = np.clip(sketch.angles[BONE_INDEX[f"{finger}_1"], FLEXION] / 70, 0, 1)
        value = SPREAD_CLOSED[finger] * (1 - openness) + rng.normal(0, noise)
        sketch.spread(finger, value * (1 - 0.6 * bent) + 0.6 * bent * 0.6 * SPREAD_CLOSED[finger])


def _metacarpals(sketch: Sketch) -> None:
    """The palm cups when ring and little finger bend."""
    for finger, share in (("ring", 6.0), ("little", 13.0)):
        bent = np.clip(sketch.angles[BONE_INDEX[f"{finger}_1"], FLEXION] / 80, 0, 1)
        sketch.angles[BONE_INDEX[f"{finger}_metacarpal"], FLEXION] = share * bent


def _forearm(rng: np.random.Generator, sketch: Sketch) -> None:
    """The wrist is mostly near straight."""
    bone = BONE_INDEX["forearm"]
    sketch.angles[bone, FLEXION] = np.clip(rng.normal(-4, 22), *np.rad2deg(LIMITS[bone, FLEXION]))
    sketch.angles[bone, ABDUCTION] = np.clip(rng.normal(4, 10), *np.rad2deg(LIMITS[bone, ABDUCTION]))


def _loose_thumb(rng: np.random.Generator, sketch: Sketch) -> None:
    """A thumb that does nothing in particular."""
    bend = rng.uniform(0, 1)
    sketch.thumb(
        rng.uniform(-14, 18),
        rng.uniform(-22, 12),
        rng.uniform(0, 20),
        rng.uniform(-8, 24),
        -8 + 50 * bend * rng.random(),
    )


def _thumb_along(rng: np.random.Generator, sketch: Sketch) -> None:
    """A thumb that lies beside the index finger, in the plane of the palm."""
    sketch.thumb(
        rng.uniform(0, 14), rng.uniform(-28, -14), rng.uniform(0, 12), rng.uniform(-8, 15), rng.uniform(-12, 18)
    )


def _thumb_out(rng: np.random.Generator, sketch: Sketch) -> None:
    """A thumb stretched away from the fingers."""
    sketch.thumb(
        rng.uniform(-22, -6), rng.uniform(-22, 8), rng.uniform(-5, 8), rng.uniform(-14, 4), rng.uniform(-18, 8)
    )


def _thumb_over(rng: np.random.Generator, sketch: Sketch, settler: Settler, fingers: list[int]) -> None:
    """A thumb whose pad lies on the back of one of the curled fingers (1 index to 4 little)."""
    target = int(rng.choice(fingers))
    sketch.thumb(22, 18, 25, 25, 35)
    sketch.touches.append((settler.pad(0), settler.back(target, 1, rng.uniform(0.3, 0.8))))


def _thumb_beside(rng: np.random.Generator, sketch: Sketch) -> None:
    """A thumb pressed against the side of a fist."""
    sketch.thumb(rng.uniform(8, 20), rng.uniform(-10, 6), rng.uniform(0, 15), rng.uniform(5, 25), rng.uniform(-5, 35))


def relaxed(rng: np.random.Generator, sketch: Sketch, settler: Settler) -> None:
    """Fingers curl together, the little one most."""
    curl, slope = rng.uniform(0.02, 0.55), rng.normal(0.06, 0.05)
    for number, finger in enumerate(LONG_FINGERS):
        _curl(rng, sketch, finger, curl + slope * (number - 1.5) + rng.normal(0, 0.05))
    _fan(rng, sketch, rng.uniform(0.1, 0.9))
    rng.choice([_loose_thumb, _loose_thumb, _thumb_along])(rng, sketch)


def flat(rng: np.random.Generator, sketch: Sketch, settler: Settler) -> None:
    """An open hand, fingers together or apart, sometimes bent at the knuckles as a whole."""
    knuckles = rng.choice([0.0, rng.uniform(-24, 10), rng.uniform(10, 65)])
    bend = rng.normal(-6, 6)
    for finger in LONG_FINGERS:
        sketch.bend(finger, tuple(np.array([knuckles - 6, bend, 0.7 * bend]) + rng.normal(0, 4, 3)))
    _fan(rng, sketch, rng.choice([rng.uniform(0, 0.25), rng.uniform(0.6, 1.5)]))
    rng.choice([_thumb_along, _thumb_out, _loose_thumb])(rng, sketch)


def fist(rng: np.random.Generator, sketch: Sketch, settler: Settler) -> None:
    """All fingers curled; the thumb over them, beside them, or up."""
    curl = rng.uniform(0.85, 1.05)
    for finger in LONG_FINGERS:
        _curl(rng, sketch, finger, curl + rng.normal(0, 0.02), noise=3)
    _fan(rng, sketch, 0.0, noise=1)
    style = rng.random()
    if style < 0.45:
        _thumb_over(rng, sketch, settler, [1, 2])
    else:
        (_thumb_beside if style < 0.65 else _thumb_out)(rng, sketch)


def pointing(rng: np.random.Generator, sketch: Sketch, settler: Settler) -> None:
    """The index finger out, the others curled."""
    curl = rng.uniform(0.65, 1.0)
    for finger in LONG_FINGERS[1:]:
        _curl(rng, sketch, finger, curl + rng.normal(0, 0.04), noise=4)
    sketch.bend("index", tuple(np.array([rng.uniform(-15, 35), rng.uniform(-8, 18), rng.uniform(-6, 10)])))
    _fan(rng, sketch, 0.2)
    style = rng.random()
    if style < 0.4:
        _thumb_over(rng, sketch, settler, [2, 3])
    else:
        (_thumb_beside if style < 0.6 else _thumb_out if style < 0.8 else _thumb_along)(rng, sketch)


def counting(rng: np.random.Generator, sketch: Sketch, settler: Settler) -> None:
    """Some fingers out, the others curled: numbers, victory, horns, telephone."""
    out = np.array([rng.random() < 0.5 for _ in LONG_FINGERS])
    curl = rng.uniform(0.75, 1.0)
    for finger, stretched in zip(LONG_FINGERS, out, strict=True):
        _curl(rng, sketch, finger, rng.uniform(0, 0.12) if stretched else curl + rng.normal(0, 0.03), noise=4)
    _fan(rng, sketch, rng.uniform(0.0, 1.3))
    curled = [number for number, stretched in enumerate(out, start=1) if not stretched]
    if curled and rng.random() < 0.5:
        _thumb_over(rng, sketch, settler, curled[:2])
    else:
        rng.choice([_thumb_out, _thumb_along, _loose_thumb])(rng, sketch)


def pinch(rng: np.random.Generator, sketch: Sketch, settler: Settler) -> None:
    """The thumb's pad meets that of one or two fingers; the others follow, stretch or curl."""
    finger = int(rng.choice([1, 2, 3, 4], p=[0.6, 0.22, 0.1, 0.08]))
    style = rng.random()
    others = (
        rng.uniform(0, 0.15) if style < 0.35 else rng.uniform(0.25, 0.6) if style < 0.75 else rng.uniform(0.7, 0.95)
    )
    for number, name in enumerate(LONG_FINGERS, start=1):
        _curl(rng, sketch, name, others + 0.05 * (number - 2) + rng.normal(0, 0.04))
    sketch.bend(LONG_FINGERS[finger - 1], (rng.uniform(30, 60), rng.uniform(30, 70), rng.uniform(5, 40)))
    _fan(rng, sketch, rng.uniform(0.1, 0.8))
    sketch.thumb(rng.uniform(10, 25), rng.uniform(8, 25), rng.uniform(15, 35), rng.uniform(0, 25), rng.uniform(0, 40))
    touching = [finger] + ([2] if finger == 1 and rng.random() < 0.3 else [])
    if len(touching) == 2:
        sketch.angles[BONE_INDEX["middle_1"] : BONE_INDEX["middle_3"] + 1, FLEXION] = sketch.angles[
            BONE_INDEX["index_1"] : BONE_INDEX["index_3"] + 1, FLEXION
        ]
    sketch.touches += [(settler.pad(0), settler.pad(number)) for number in touching]


def grasp(rng: np.random.Generator, sketch: Sketch, settler: Settler) -> None:
    """Fingers and thumb close around a bar or a ball."""
    ball = rng.random() < 0.35
    radius = rng.uniform(0.022, 0.042) if ball else rng.uniform(0.011, 0.036)
    knuckle = settler.joints[BONE_INDEX["middle_1"]]
    start, end = settler.joints[BONE_INDEX["little_1"]], settler.joints[BONE_INDEX["index_1"]]
    across = (end - start) / np.linalg.norm(end - start) + rng.normal(0, 0.12, 3) * [1, 1, 0.5]
    palm = np.array([0.0, knuckle[1] * rng.uniform(0.78, 0.96), 0.014])
    center = palm + np.array([rng.normal(-0.004, 0.006), 0, radius + rng.uniform(0.0, 0.004)])
    reach = np.zeros(3) if ball else across / np.linalg.norm(across) * 0.12
    sketch.held = HeldObject(center - reach, center + reach, radius)
    curl = np.clip(1.08 - (radius - 0.01) / 0.055, 0.3, 1.05)
    for finger in LONG_FINGERS:
        _curl(rng, sketch, finger, curl + rng.normal(0, 0.03), noise=3)
    _fan(rng, sketch, 0.5 if ball else 0.15)
    sketch.thumb(rng.uniform(8, 26), rng.uniform(8, 24), rng.uniform(10, 35), rng.uniform(5, 25), rng.uniform(5, 40))


def claw(rng: np.random.Generator, sketch: Sketch, settler: Settler) -> None:
    """Knuckles stretched, the outer joints bent."""
    bend = rng.uniform(40, 95)
    for finger in LONG_FINGERS:
        sketch.bend(finger, (rng.uniform(-25, 15), bend + rng.normal(0, 6), sketch.end_share * bend + rng.normal(0, 6)))
    _fan(rng, sketch, rng.uniform(0.3, 1.2))
    _loose_thumb(rng, sketch)


def free(rng: np.random.Generator, sketch: Sketch, settler: Settler) -> None:
    """Every finger by itself, tied to its neighbours."""
    curls = np.clip(np.cumsum(rng.normal(0, 0.28, 4)) + rng.uniform(0.1, 0.7), 0, 1)
    for finger, curl in zip(LONG_FINGERS, curls, strict=True):
        _curl(rng, sketch, finger, curl, noise=9)
    _fan(rng, sketch, rng.uniform(0, 1.4))
    _loose_thumb(rng, sketch)


SKETCHES = {sketch.__name__: sketch for sketch in (relaxed, flat, fist, pointing, counting, pinch, grasp, claw, free)}
