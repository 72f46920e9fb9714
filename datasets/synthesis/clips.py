"""Moving hands with the truth in every frame: one person in one place, from one key pose to the next."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from datasets.synthesis.camera import View, sample_view
from datasets.synthesis.contact import Settler
from datasets.synthesis.generator import DOMAIN, HandGenerator, joints_scale, sample_shape
from datasets.synthesis.kinematics import bone_transforms, skin
from datasets.synthesis.poses import FAMILIES, sample_pose
from datasets.synthesis.renderer import Arm
from handmesh.geometry import project
from handmesh.skeleton import BONE_INDEX, FREE

CLIPS = 16  # stream of random numbers, apart from those of single images
RATE_HZ = 30
SECONDS = (2.0, 3.0)
KEY_POSES = (2, 4)  # fewest and most, the first included
PAUSE_SHARE = 0.25  # of the time between two key poses in which the hand rests
TURN_DEGREES, MOVE = 50.0, 0.25  # largest turn, and move in shares of the distance, from one key pose to the next
EMPTY_HANDED = {name: share for name, share in FAMILIES.items() if name != "grasp"}
HAND_PX = (60.0, 100.0)  # of 224: room to move
FOREARM = BONE_INDEX["forearm"]
MARGIN_PX = 70.0  # from the picture's border to the middle of the hand


@dataclass(frozen=True)
class ClipFrame:
    """A picture of a clip, camera frame, metres.

    Attributes:
        image: (224, 224, 3) RGB uint8.
        time_s: since the first one.
        K: (3, 3), the same in all.
        joints_m: (21, 3) in FreiHAND order.
        angles: (D,) radians, of `handmesh.skeleton.ANGLE_NAMES`.
    """

    image: np.ndarray
    time_s: float
    K: np.ndarray
    joints_m: np.ndarray
    angles: np.ndarray


def sample_clip(generator: HandGenerator, index: int) -> Iterator[ClipFrame]:
    """Clip `index`, a function of it and the generator's settings alone."""
    seeds = (generator.settings.seed, CLIPS, index, DOMAIN)
    rng, hand = np.random.default_rng(seeds), generator.hand
    vertices, joints, tips = hand.shaped(*sample_shape(rng, hand))
    settler = Settler(joints, tips, hand.axes, generator.radii * joints_scale(hand, joints))
    count = int(rng.integers(KEY_POSES[0], KEY_POSES[1] + 1))
    poses = [sample_pose(rng, settler, EMPTY_HANDED).angles for _ in range(count)]
    posed = skin(vertices, hand.weights, bone_transforms(poses[0], joints, hand.axes))
    views = [sample_view(rng, posed[: hand.num_hand_vertices], posed[hand.arm_end], HAND_PX)]
    while len(views) < count:
        views.append(_moved(views[-1], rng))
    turns = Slerp(np.arange(count), Rotation.from_matrix([view.rotation for view in views]))
    frames = round(rng.uniform(*SECONDS) * RATE_HZ)
    for number in range(frames):
        place = _eased(number / (frames - 1) * (count - 1))
        before = min(int(place), count - 2)
        share = place - before
        wanted = poses[before] + share * (poses[before + 1] - poses[before])
        angles = settler.settle(wanted, [], [])[0]
        angles[FOREARM] = wanted[FOREARM]  # it hangs on the hand and is not settled
        translation = views[before].translation + share * (views[before + 1].translation - views[before].translation)
        view = replace(views[0], rotation=turns(place).as_matrix(), translation=translation)
        placed = view.to_camera(skin(vertices, hand.weights, bone_transforms(angles, joints, hand.axes)))
        scene = np.random.default_rng((*seeds, 1))  # the same skin, light and background in every frame
        arm = Arm(placed.astype(np.float32), vertices)
        light = generator.renderer.render(arm, view, None, scene, clear=True).light
        noise = np.random.default_rng((*seeds, 2, number))
        image = generator.sensor.capture(light, np.random.default_rng((*seeds, 2)), noise)
        model_vertices = placed[hand.model_vertices].astype(np.float64)
        joints_m, held = generator.joint_regressor @ model_vertices, angles[FREE[:, 0], FREE[:, 1]]
        yield ClipFrame(image, number / RATE_HZ, view.K, joints_m, held)


def _eased(place: float) -> float:
    """A place between key poses with rests at them and the speed of a hand's movement between (minimum jerk)."""
    before = np.floor(place)
    share = np.clip((place - before - PAUSE_SHARE / 2) / (1 - PAUSE_SHARE), 0, 1)
    return float(before + share**3 * (10 - 15 * share + 6 * share**2))


def _moved(view: View, rng: np.random.Generator) -> View:
    """The next place of a hand, whose middle stays in the picture."""
    axis = rng.normal(0, 1, 3)
    turn = Rotation.from_rotvec(np.deg2rad(rng.uniform(0, TURN_DEGREES)) * axis / np.linalg.norm(axis))
    distance = view.translation[2]
    place = view.translation + rng.uniform(-MOVE, MOVE, 3) * distance
    pixel = np.clip(project(place, view.K), MARGIN_PX, 2 * view.K[:2, 2] - MARGIN_PX)
    place[:2] = (pixel - view.K[:2, 2]) * place[2] / view.K[[0, 1], [0, 1]]
    return View(turn.as_matrix() @ view.rotation, place, view.K)
