"""Hands from frame to frame: who is who, where to look next, and poses without jitter.

A hand that was seen is looked for where it should be now; the detector runs when a hand may have appeared or was lost.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np

from handmesh.arguments import HAND_LENGTH_M, as_number
from handmesh.camera import Camera, Intrinsics, camera_of
from handmesh.confidence import log_odds
from handmesh.detector import MIN_PRESENCE, SAME_HAND_SHARE, FoundHand, roi_around
from handmesh.errors import InputError
from handmesh.finder import HandFinder
from handmesh.geometry import project
from handmesh.hand import LEFT, Hand
from handmesh.images import Picture, as_image
from handmesh.palm import box_containment
from handmesh.pose import HandPose
from handmesh.smoothing import AWAY_SECONDS, Build, PoseFilter, smooth_track

# In frames, so that a slow computer does not spend its time on them.
DETECT_FRAMES = 9  # from one look for hands that have appeared to the next
CHECK_FRAMES = 6  # from one question whether what is tracked is still a hand to the next
CLEAR = 0.25  # mean confidence of the landmarks below which that is asked at once
SURE = 0.8  # confidence above which that is not asked: what is no hand does not reach it
REMEMBERED_SECONDS = 3.0  # for which number, size and shape of a hand that is away wait for it to come back
LEAST_INSIDE = 0.75  # of the landmarks in the picture, of a hand that appears and is not sure
LARGEST_JUMP = 0.6  # of its box, within which a hand that appears is one that was lost
LARGEST_DEPTH_STEP = 1.5  # ratio of depths between two looks; what is seen of a hand at the border may look far away
MOST_DOUBT = 60.0  # log odds against the side of a hand, summed over frames: about nine in which the network is sure
VELOCITY_SHARE = 0.6  # of the newest velocity in the mean
LEAST_WEIGHT = 0.01  # of a frame in the size and shape of a hand, otherwise its confidence
NEAREST_M = 0.03  # in front of the camera, of a wrist
FADE_SECONDS = 0.15  # in which a hand that is not seen comes to rest


@dataclass(frozen=True, eq=False)
class TrackedHand:
    """A hand in a frame.

    Attributes:
        track: number of the hand, the same in all frames.
        time_s: of the frame.
        pose: smoothed, with the size and shape of all frames so far; its mesh is in camera space.
        camera: of the frame.
        bridged: whether the hand was not seen in this frame: it is shown where it should be.
        confidence: as of `Hand`; 0 while it is bridged.
        seen: what the network saw of it in this frame; None while it is bridged, and in what is read again from a file.
    """

    track: int
    time_s: float
    camera: Camera
    pose: HandPose
    bridged: bool
    confidence: float
    seen: Hand | None = None

    @property
    def side(self) -> str:
        """`right` or `left`, the same in all frames."""
        return self.pose.side

    @property
    def vertices_m(self) -> np.ndarray:
        """(V, 3), camera space."""
        return self.pose.vertices_m

    @property
    def joints_m(self) -> np.ndarray:
        """(21, 3), camera space."""
        return self.pose.joints_m

    @property
    def translation_m(self) -> np.ndarray:
        """Position (3,) of the wrist."""
        return self.joints_m[0]


@dataclass(eq=False)
class _Track:
    """What is known of a hand. Points are those of the last frame in which it was seen."""

    number: int
    side: str
    pose: HandPose
    seen_s: float
    checked: int  # number of the frame
    doubt: float = 0.0  # of its side
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(3))  # metres a second
    build: Build = field(default_factory=Build)
    filter: PoseFilter = field(default_factory=PoseFilter)
    shown: HandPose = field(init=False)

    def moved_since(self, time_s: float) -> np.ndarray:
        """How far (3,) the hand should be from where it was seen: it goes on, and comes to rest, before the camera."""
        moved = self.velocity * FADE_SECONDS * (1 - np.exp((self.seen_s - time_s) / FADE_SECONDS))
        depth_m = min(self.pose.wrist_position_m[2], self.shown.wrist_position_m[2])
        moved[2] = np.clip(moved[2], depth_m * (1 / LARGEST_DEPTH_STEP - 1), depth_m * (LARGEST_DEPTH_STEP - 1))
        return moved

    def joints_at(self, time_s: float) -> np.ndarray:
        """Where the joints (21, 3) should be."""
        return self.pose.joints_m + self.moved_since(time_s)

    def may_be(self, hand: Hand) -> bool:
        """Whether a hand that was looked for is somewhere before the camera where this one can be."""
        if not _has_place(hand):
            return False
        farther = hand.pose.wrist_position_m[2] / self.pose.wrist_position_m[2]
        return 1 / LARGEST_DEPTH_STEP < farther < LARGEST_DEPTH_STEP

    def looks_other(self, hand: Hand) -> bool:
        """Whether what was seen has looked like a hand of the other side for long."""
        self.doubt = max(0.0, self.doubt - log_odds(hand.side_probability))
        return self.doubt > MOST_DOUBT

    def see(self, pose: HandPose, time_s: float) -> None:
        """Take in a new pose."""
        passed = max(time_s - self.seen_s, 1e-3)
        newest = (pose.joints_m - self.pose.joints_m).mean(axis=0) / passed
        self.velocity = VELOCITY_SHARE * newest + (1 - VELOCITY_SHARE) * self.velocity
        self.pose, self.seen_s = pose, time_s


class Tracker:
    """The hands of a video, one frame after the other.

    Args:
        find: with a network trained on the open hand.
        K: of all frames, see `HandFinder`; None: a usual field of view.
        smooth: whether poses are smoothed; size and shape of a hand are the mean of all its frames in any case.
        hand_length_m: see `HandFinder`.
        mirrored: the frames are mirror images, see `HandFinder`.

    Raises:
        InputError: the network's mesh is not the open hand's, or the length is not a hand's.
    """

    def __init__(
        self,
        find: HandFinder,
        K: Intrinsics | Camera | None = None,
        smooth: bool = True,
        hand_length_m: float | None = None,
        mirrored: bool = False,
    ) -> None:
        if not find.has_pose:
            raise InputError("tracking needs a network trained on template/open_hand, and this one was not")
        self.find, self.K, self.smooth, self.mirrored = find, K, smooth, mirrored
        if hand_length_m is not None:
            hand_length_m = as_number("hand_length_m", hand_length_m, HAND_LENGTH_M, "metres")
        self.hand_length_m = hand_length_m
        self._numbers = count(1)
        self._tracks: list[_Track] = []
        self._gone: list[_Track] = []  # the last one last
        self._time_s = -np.inf
        self._frame, self._detected = 0, 0  # numbers of this frame and of that of the last search

    def update(self, image: Picture, time_s: float) -> list[TrackedHand]:
        """The hands of the next frame.

        Args:
            image: see `HandFinder`.
            time_s: later than that of the frame before.

        Raises:
            InputError: an argument is not what was expected.
        """
        if not time_s > self._time_s:
            raise InputError(f"time_s {time_s}: expected more than that of the frame before, {self._time_s}")
        self._time_s, self._frame = time_s, self._frame + 1
        pixels = as_image(image)
        camera = camera_of(self.K, *pixels.shape[:2])
        if self.mirrored:
            pixels, camera = self.seen(pixels), camera.mirrored(pixels.shape[1])
        followed = len(self._tracks)
        seen = self._follow(pixels, camera, time_s)
        if len(seen) < followed or not self._tracks or self._frame - self._detected >= DETECT_FRAMES:
            self._detected = self._frame
            seen |= self._appeared(pixels, camera, seen, time_s)
        self._forget(time_s)
        return [self._told(track, seen.get(track.number), camera, time_s) for track in self._tracks]

    def seen(self, image: np.ndarray) -> np.ndarray:
        """A frame (H, W, 3) as the hands are, mirrored where it is a mirror image."""
        return np.ascontiguousarray(image[:, ::-1]) if self.mirrored else image

    def _follow(self, image: np.ndarray, camera: Camera, time_s: float) -> dict[int, Hand]:
        """Hands by the number of the track, seen where they should be. What looks like a hand of the other side for
        long is let go, to be found as that."""
        looks = []
        for track in self._tracks:
            looks.append((None, project(track.joints_at(time_s), camera.K), track.side == LEFT))
        seen: dict[int, Hand] = {}
        hands = self.find.look(image, camera, looks, self.hand_length_m)
        for track, hand in zip(list(self._tracks), hands, strict=True):
            if any(_same(hand, other) for other in seen.values()):
                continue
            if track.looks_other(hand):
                self._tracks.remove(track)
            elif track.may_be(hand) and self._is_hand(image, track, hand):
                seen[track.number] = hand
                track.see(hand.pose, time_s)
        return seen

    def _is_hand(self, image: np.ndarray, track: _Track, hand: Hand) -> bool:
        """Whether what was seen of a track is a hand."""
        was_hand = hand.landmark_confidence.mean() > CLEAR and self._frame - track.checked < CHECK_FRAMES
        if hand.confidence > SURE or was_hand:
            return True
        is_hand = self.find.detector.landmarks(image, roi_around(hand.landmarks_px)).presence > MIN_PRESENCE
        track.checked = self._frame if is_hand else track.checked
        return is_hand

    def _appeared(self, image: np.ndarray, camera: Camera, seen: dict[int, Hand], time_s: float) -> dict[int, Hand]:
        """Hands that no track has seen in this frame: of tracks that had lost them, and of new ones."""
        found: dict[int, Hand] = {}
        others = self.find.detector.others(image, [hand.landmarks_px for hand in seen.values()])
        there = [one for one in others if not any(_same(one, hand) for hand in seen.values())]
        for hand in self.find.see(image, camera, there, hand_length_m=self.hand_length_m):
            if any(_same(hand, other) for other in (*seen.values(), *found.values())) or not _has_place(hand):
                continue
            waiting = [track for track in self._tracks if track.number not in seen and track.number not in found]
            track = _lost_near(hand, waiting, camera, time_s)
            if track is not None:
                look = (hand.found, hand.landmarks_px, track.side == LEFT)
                (hand,) = self.find.look(image, camera, [look], self.hand_length_m)
                if not track.may_be(hand):
                    continue
                track.see(hand.pose, time_s)
            elif hand.confidence < SURE and (waiting or _share_inside(hand, image) < LEAST_INSIDE):
                continue  # rather one of those, or less than a hand
            else:
                track = self._entered(hand, time_s)
            found[track.number] = hand
        return found

    def _entered(self, hand: Hand, time_s: float) -> _Track:
        """The track of a hand that has come into the picture: the last of its side that is gone, or a new one."""
        track = next((track for track in reversed(self._gone) if track.side == hand.side), None)
        if track is None:
            track = _Track(next(self._numbers), hand.side, hand.pose, time_s, self._frame)
        else:
            self._gone.remove(track)
            track.see(hand.pose, time_s)
            track.doubt = 0.0
        self._tracks.append(track)
        return track

    def _forget(self, time_s: float) -> None:
        tracks = (*self._gone, *self._tracks)
        self._tracks = [track for track in tracks if time_s - track.seen_s <= AWAY_SECONDS]
        self._gone = [track for track in tracks if AWAY_SECONDS < time_s - track.seen_s <= REMEMBERED_SECONDS]

    def _told(self, track: _Track, hand: Hand | None, camera: Camera, time_s: float) -> TrackedHand:
        if hand is None:
            place = track.shown.wrist_position_m + track.moved_since(time_s)
            moved = replace(track.shown, wrist_position_m=place)
            return TrackedHand(track.number, time_s, camera, moved, bridged=True, confidence=0.0)
        track.build.learn(track.pose, max(hand.confidence, LEAST_WEIGHT))
        pose = track.build(track.pose)
        track.shown = track.filter(pose, time_s) if self.smooth else pose
        return TrackedHand(track.number, time_s, camera, track.shown, False, hand.confidence, hand)


def whole_tracks(frames: Sequence[Sequence[TrackedHand]], smooth: bool = True) -> list[list[TrackedHand]]:
    """The hands of all frames of a video, tracked without smoothing: with one size and shape each, from all of its
    frames, and smoothed by the later ones, too."""
    tracks: dict[int, list[TrackedHand]] = {}
    for hands in frames:
        for hand in hands:
            tracks.setdefault(hand.track, []).append(hand)
    poses: dict[int, Iterator[HandPose]] = {}
    for number, own in tracks.items():
        build = Build()
        for hand in own:
            if not hand.bridged:
                build.learn(hand.pose, max(hand.confidence, LEAST_WEIGHT))
        built = [build(hand.pose) for hand in own]
        poses[number] = iter(smooth_track(built, [hand.time_s for hand in own]) if smooth else built)
    return [[replace(hand, pose=next(poses[hand.track])) for hand in hands] for hands in frames]


def _lost_near(hand: Hand, tracks: Sequence[_Track], camera: Camera, time_s: float) -> _Track | None:
    """The track that should be nearest to a hand that has appeared, if it is near."""
    found, nearest = None, LARGEST_JUMP
    for track in tracks:
        expected = project(track.joints_at(time_s), camera.K)
        size = max(np.ptp(points, axis=0).max() for points in (expected, hand.landmarks_px))
        far = np.linalg.norm(expected.mean(axis=0) - hand.landmarks_px.mean(axis=0)) / size
        if far < nearest:
            found, nearest = track, far
    return found


def _has_place(hand: Hand) -> bool:
    """Whether a hand is known to be somewhere before the camera."""
    finite = np.isfinite(hand.vertices_m).all() and np.isfinite(hand.landmarks_px).all()
    return bool(hand.success and finite and hand.pose.wrist_position_m[2] > NEAREST_M)


def _share_inside(hand: Hand, image: np.ndarray) -> float:
    """Share of the landmarks of a hand that lie in the picture."""
    return float(((hand.landmarks_px >= 0) & (hand.landmarks_px < image.shape[1::-1])).all(axis=1).mean())


def _same(hand: Hand | FoundHand, other: Hand) -> bool:
    """Whether two hands of a frame are one."""
    return bool(box_containment(hand.box_px, other.box_px[None])[0] >= SAME_HAND_SHARE)
