"""Synthetic hands with labels: sample `index` of a seed, the same bytes whichever process makes it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from datasets.augmentation import HandSample, mirror
from datasets.synthesis.camera import HAND_PX, View, sample_view
from datasets.synthesis.contact import Settler, capsule_radii
from datasets.synthesis.hand import OpenHand, load_open_hand
from datasets.synthesis.kinematics import bone_transforms, skin
from datasets.synthesis.poses import sample_pose
from datasets.synthesis.renderer import Arm, Renderer
from datasets.synthesis.sensor import Sensor
from handmesh.geometry import project
from utils.template import OPEN_HAND, load_template

VERSION = 2  # of the images: raise it when the same seed would give others
DOMAIN = 0x48414E44  # keeps these random numbers apart from those of the augmentation
TRAINING, EVALUATION, STREAMING = range(3)  # streams of samples that have nothing in common
RENDER_ATTEMPTS = 6
LEAST_VISIBLE, CLEAR_VISIBLE = 0.4, 0.95  # share of the hand that neither arm nor things may hide
ALONG_COSINE, EDGE_COSINE = np.cos(np.deg2rad(40)), np.cos(np.deg2rad(75))
TONES = {"light": 0.6, "medium": 0.4, "dark": 0.0}  # brightness from which on a skin is one
CHILD_CHANCE = 0.12
ADULT_LENGTH_M = (0.16, 0.21)
CHILD_LENGTH_M = (0.11, 0.16)


@dataclass(frozen=True)
class GeneratorSettings:
    """What is generated.

    Attributes:
        seed: of everything.
        skins, environments, backgrounds: folders, see `Renderer`.
        hand_px: smallest and largest longer side of the hand's box.
        left: show left hands, mirror images of right ones.
        clear: nothing before the hand and nothing in it.
    """

    seed: int = 1
    skins: Path | None = None
    environments: Path | None = None
    backgrounds: Path | None = None
    hand_px: tuple[float, float] = HAND_PX
    left: bool = False
    clear: bool = False


@dataclass(frozen=True)
class SyntheticSample:
    """One image with its labels, camera frame, metres.

    Attributes:
        jpeg: the encoded image, 224 x 224.
        mask: (224, 224) uint8, 255 on the hand.
        K: (3, 3) pixels.
        vertices_m: (750, 3) of the template.
        joints_m: (21, 3) in FreiHAND order.
        family: of the pose.
        view: `palm`, `back`, `edge` or `along` the arm: what is turned to the camera.
        tone: `light`, `medium` or `dark` skin.
    """

    jpeg: bytes
    mask: np.ndarray
    K: np.ndarray
    vertices_m: np.ndarray
    joints_m: np.ndarray
    family: str
    view: str
    tone: str

    @property
    def image(self) -> np.ndarray:
        """The decoded image (224, 224, 3), RGB uint8."""
        return cv2.imdecode(np.frombuffer(self.jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)


class HandGenerator:
    """Draws samples; whatever is read or computed once is made at the first sample, in the process that needs it."""

    def __init__(self, settings: GeneratorSettings) -> None:
        self.settings = settings

    def __reduce__(self) -> tuple:
        return HandGenerator, (self.settings,)  # a process that gets it in writing reads textures and lights again

    @cached_property
    def hand(self) -> OpenHand:
        """The hand model."""
        return load_open_hand()

    @cached_property
    def renderer(self) -> Renderer:
        """The renderer with its textures and lights."""
        settings = self.settings
        return Renderer(self.hand, settings.skins, settings.environments, settings.backgrounds)

    @cached_property
    def joint_regressor(self) -> np.ndarray:
        return load_template(OPEN_HAND).joint_regressor

    @cached_property
    def radii(self) -> np.ndarray:
        return capsule_radii(self.hand)

    @cached_property
    def sensor(self) -> Sensor:
        return Sensor()

    def prepare(self) -> None:
        """Read and make everything now, and have numba compile: before processes fork, so that they share it."""
        self.sample(TRAINING, 0)

    def sample(self, stream: int, index: int) -> SyntheticSample:
        """Sample `index` of a stream (`TRAINING`, `EVALUATION`, ...), a function of both and the settings alone."""
        rng = np.random.default_rng((self.settings.seed, stream, index, DOMAIN))
        hand = self.hand
        vertices, joints, tips = hand.shaped(*sample_shape(rng, hand))
        settler = Settler(joints, tips, hand.axes, self.radii * joints_scale(hand, joints))
        pose = sample_pose(rng, settler)
        posed = skin(vertices, hand.weights, bone_transforms(pose.angles, joints, hand.axes))
        for _ in range(RENDER_ATTEMPTS):
            view = sample_view(rng, posed[: hand.num_hand_vertices], posed[hand.arm_end], self.settings.hand_px)
            arm = Arm(view.to_camera(posed).astype(np.float32), vertices)
            rendering = self.renderer.render(arm, view, pose.held, rng, self.settings.clear)
            if rendering.visible > (CLEAR_VISIBLE if self.settings.clear else LEAST_VISIBLE):
                break
        image, mask = self.sensor.capture(rendering.light, rng), rendering.mask
        placed, K = arm.vertices[hand.model_vertices].astype(np.float64), view.K
        if self.settings.left:
            mirrored = mirror(HandSample(image, mask, project(placed, K), placed, K))
            image, mask, placed, K = mirrored.image, mirrored.mask, mirrored.vertices_m, mirrored.K
        return SyntheticSample(
            jpeg=Sensor.compress(image, rng),
            mask=mask,
            K=K,
            vertices_m=placed,
            joints_m=self.joint_regressor @ placed,
            family=pose.family,
            view=shown_side(arm.vertices[hand.arm_end].mean(axis=0), view),
            tone=next(name for name, least in TONES.items() if rendering.tone >= least),
        )


def shown_side(arm_end: np.ndarray, view: View) -> str:
    """What of a hand is turned to the camera: see `SyntheticSample`.

    Args:
        arm_end: (3,) where the arm is cut off, camera frame.
        view: where the palm is.
    """
    ray = view.translation / np.linalg.norm(view.translation)
    arm = view.translation - arm_end
    if abs(arm @ ray) > ALONG_COSINE * np.linalg.norm(arm):
        return "along"
    facing = view.rotation[:, 2] @ ray  # of the normal out of the palm
    return "edge" if abs(facing) < EDGE_COSINE else "back" if facing > 0 else "palm"


def sample_shape(rng: np.random.Generator, hand: OpenHand) -> tuple[np.ndarray, float]:
    """Shape coefficients (S,) and length in metres of a person's hand."""
    low, high = hand.shape_ranges.T
    middle = np.clip(0, low, high)
    coefficients = np.clip(rng.normal(middle, (high - low) / 4), low, high)
    named = {name: index for index, name in enumerate(hand.shape_names)}
    origins = [named[name] for name in ("african", "asian", "caucasian")]
    coefficients[origins] = rng.dirichlet(np.full(3, 0.5))
    child = rng.random() < CHILD_CHANCE
    coefficients[named["child"]] = rng.uniform(0.4, 1) if child else 0
    coefficients[named["age"]] = 0 if child else max(0.0, rng.uniform(-1, 1))
    if child:
        return coefficients, float(rng.uniform(*CHILD_LENGTH_M))
    mean = 0.183 + 0.007 * coefficients[named["sex"]]
    return coefficients, float(np.clip(rng.normal(mean, 0.008), *ADULT_LENGTH_M))


def joints_scale(hand: OpenHand, joints: np.ndarray) -> float:
    """Size of a person's skeleton over the mean hand's."""
    return float(np.linalg.norm(joints, axis=1).mean() / np.linalg.norm(hand.joints, axis=1).mean())
