"""Videos as a user has them: hands keep their number, a hidden hand is bridged, and poses do not shake."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import cv2
import numpy as np
import pytest
import trimesh

import handmesh
from handmesh.cli import main
from handmesh.drawing.mesh import silhouette
from handmesh.geometry import project
from handmesh.hand_model import load_hand_model, rotation_matrices
from handmesh.pose import HandPose
from handmesh.skeleton import ANGLE_NAMES
from handmesh.smoothing import Build, PoseFilter, smooth_track
from handmesh.tracking import Tracker, whole_tracks
from handmesh.video import VideoFile, VideoWriter
from tests.handmesh.test_detection import picture

FRAMES, RATE_HZ = 20, 25
HIDDEN = range(9, 12)
SIZE = (300, 640)


@pytest.fixture(scope="module")
def find():
    return handmesh.load()


def frame(number):
    """A right hand that moves to the right, hidden for a while, and a left one that rests."""
    canvas = np.full((*SIZE, 3), 190, np.uint8)
    hand = picture("palm")
    if number not in HIDDEN:
        canvas[40:264, 20 + 3 * number : 244 + 3 * number] = hand
    canvas[40:264, 400:624] = hand[:, ::-1]
    return canvas


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    writer = VideoWriter(path)
    for number in range(FRAMES):
        writer.write(frame(number), number / RATE_HZ)
    writer.close()
    return path


@pytest.fixture(scope="module")
def tracked(find, clip):
    return [hands for _, hands in handmesh.track(clip, find)]


def test_frames_have_their_times_and_pictures(clip):
    frames = list(VideoFile(clip))
    np.testing.assert_allclose([one.time_s for one in frames], np.arange(FRAMES) / RATE_HZ, atol=1e-3)
    assert VideoFile(clip).count == FRAMES
    assert np.abs(frames[5].image.astype(int) - frame(5)).mean() < 6


def test_hands_keep_their_number_and_their_side(tracked):
    assert all(len(hands) == 2 for hands in tracked)
    sides = {(hand.track, hand.side) for hands in tracked for hand in hands}
    assert sorted(side for _, side in sides) == ["left", "right"]


def test_a_hidden_hand_is_bridged_where_it_should_be(tracked):
    right = [next(hand for hand in hands if hand.side == "right") for hands in tracked]
    assert [number for number, hand in enumerate(right) if hand.bridged] == list(HIDDEN)
    x = np.array([hand.joints_m[:, 0].mean() for hand in right])
    assert (np.diff(x) > -0.002).all()
    assert abs(x[HIDDEN[-1]] - x[HIDDEN[-1] + 1]) < 0.03


def cutout(find, name, mirrored):
    """A hand of a photo (224, 224, 3) without what is behind it, and how opaque it is (224, 224, 1)."""
    image = np.ascontiguousarray(picture(name)[:, :: -1 if mirrored else 1])
    (hand,) = find(image)
    mask = silhouette(hand.vertices_m, find.faces[hand.side], hand.camera.K, *image.shape[:2])
    mask = cv2.GaussianBlur(cv2.dilate(mask, np.ones((9, 9), np.uint8)), (0, 0), 2)
    return image.astype(float), mask[..., None] / 255


@pytest.mark.parametrize("mirrored", [False, True])
def test_hands_that_cross_keep_their_number(find, mirrored):
    """One goes to the right, before another one that goes to the left and is hidden by it on the way."""
    there, behind = cutout(find, "palm", False), cutout(find, "back", mirrored)
    tracker, seen = Tracker(find), []
    for number in range(24):
        canvas = np.full((330, 640, 3), 190.0)
        for (image, opaque), left, top in ((behind, 400 - 16 * number, 60), (there, 20 + 16 * number, 40)):
            part = canvas[top : top + 224, left : left + 224]
            part[:] = opaque * image + (1 - opaque) * part
        hands = tracker.update(canvas.astype(np.uint8), number / RATE_HZ)
        seen.append({hand.track: (hand.side, project(hand.joints_m, hand.camera.K)[:, 0].mean()) for hand in hands})
    first, last = seen[0], seen[-1]
    assert {track: side for track, (side, _) in first.items()} == {track: side for track, (side, _) in last.items()}
    assert all(frame.keys() == first.keys() for frame in seen)
    goes_right, goes_left = sorted(first, key=lambda track: first[track][1])
    assert last[goes_right][1] - first[goes_right][1] > 300
    assert last[goes_left][1] - first[goes_left][1] < -300


def test_a_hand_that_stays_away_is_forgotten(find):
    tracker, empty = Tracker(find), np.full((*SIZE, 3), 190, np.uint8)
    first = tracker.update(frame(0), 0.0)
    assert len(first) == 2
    for step in range(1, 8):
        hands = tracker.update(empty, step / 10)
    assert hands == []
    back = tracker.update(frame(60), 1.5)  # one of them elsewhere
    assert {hand.track: hand.side for hand in back} == {hand.track: hand.side for hand in first}
    assert tracker.update(empty, 5.0) == []
    late = tracker.update(frame(0), 5.1)
    assert {hand.track for hand in late}.isdisjoint(hand.track for hand in first)
    with pytest.raises(handmesh.InputError, match="time_s"):
        tracker.update(frame(0), 0.1)


def test_a_hand_may_come_back_at_another_depth(find):
    near, far = picture("palm"), np.full((224, 224, 3), 190, np.uint8)
    far[56:168, 56:168] = cv2.resize(near, (112, 112), interpolation=cv2.INTER_AREA)
    tracker = Tracker(find)
    (before,) = tracker.update(far, 0.0)
    for step in range(1, 8):
        hands = tracker.update(np.full_like(near, 190), step / 10)
    assert hands == []
    (after,) = tracker.update(near, 1.0)
    assert (after.track, after.side) == (before.track, before.side)
    assert after.joints_m[0, 2] < 0.6 * before.joints_m[0, 2]


def test_a_hand_taken_for_one_of_the_other_side_is_found_anew(find):
    tracker, found = Tracker(find), []
    for step in range(20):  # as if it had been wrong about the first frames
        canvas = np.full((*SIZE, 3), 190, np.uint8)
        canvas[40:264, 20:244] = picture("palm")[:, :: 1 if step < 3 else -1]
        canvas[40:264, 400:624] = picture("back")
        hands = tracker.update(canvas, step / RATE_HZ)
        assert len(hands) == 2
        first = min(hands, key=lambda hand: hand.joints_m[0, 0])
        found.append((first.track, first.side))
    assert found[0][1] == "right"
    assert found[-1] == (3, "left")
    assert found == [found[0]] * found.count(found[0]) + [found[-1]] * found.count(found[-1])


@pytest.mark.parametrize(("confidence", "cut_px", "enters"), [(0.9, 110, True), (0.7, 110, False), (0.7, 60, True)])
def test_an_unsure_hand_enters_when_most_of_it_is_in_the_picture(find, monkeypatch, confidence, cut_px, enters):
    look = find.look

    def as_sure(*arguments, **settings):
        return [replace(hand, confidence=confidence) for hand in look(*arguments, **settings)]

    monkeypatch.setattr(find, "look", as_sure)
    assert len(Tracker(find).update(np.ascontiguousarray(picture("back")[cut_px:]), 0.0)) == enters


def test_a_mirrored_video_shows_the_other_side(find):
    (hand,) = Tracker(find, mirrored=True).update(np.ascontiguousarray(picture("palm")[:, ::-1]), 0.0)
    assert hand.side == "right"


def test_the_command_writes_arrays_angles_and_the_picture(clip, tmp_path, capsys):
    others, earlier = tmp_path / "clip_slow_right_1.bvh", tmp_path / "clip_left_9.bvh"
    others.touch()
    earlier.touch()
    assert main([str(clip), "-o", str(tmp_path)]) == 0
    assert others.exists()
    assert not earlier.exists()
    with np.load(tmp_path / "clip_hands.npz", allow_pickle=False) as rows:
        assert len(rows["frame"]) == 2 * FRAMES
        assert rows["vertices_m"].shape == (2 * FRAMES, 750, 3)
        model = load_hand_model()
        np.testing.assert_allclose(model.joint_regressor @ rows["vertices_m"], rows["joints_m"], atol=1e-5)
        assert rows["bridged"].sum() == len(HIDDEN)
        lengths = rows["size"][rows["right"]]
    assert np.ptp(lengths[-5:]) / lengths[-1] < 0.01
    scene = trimesh.load(tmp_path / "clip.glb", process=False)
    assert len(scene.geometry) == 2
    lines = (tmp_path / "clip_angles.csv").read_text().splitlines()
    assert lines[0].split(",")[5:] == list(ANGLE_NAMES)
    assert len(lines) == 1 + 2 * FRAMES
    assert cv2.imread(str(tmp_path / "clip_angles.png")) is not None
    shown = list(VideoFile(tmp_path / "clip_overlay.mp4"))
    assert len(shown) == FRAMES
    changed = np.abs(shown[5].image.astype(int) - frame(5)).max(axis=2) > 25
    assert 0.03 < changed.mean() < 0.5
    assert f"{FRAMES} frames, 2 hands" in capsys.readouterr().out


def test_what_was_done_before_ctrl_c_is_kept(clip, tmp_path, monkeypatch):
    update, done = Tracker.update, []

    def interrupted(tracker, image, time_s):
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(time_s)
        return update(tracker, image, time_s)

    monkeypatch.setattr(Tracker, "update", interrupted)
    assert main([str(clip), "-o", str(tmp_path)]) == 0
    with np.load(tmp_path / "clip_hands.npz") as rows:
        assert rows["frame"].max() == 4
    assert len(list(VideoFile(tmp_path / "clip_overlay.mp4"))) == 5


def test_files_that_are_no_videos_are_named(clip, tmp_path, capsys):
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clip.read_bytes()[:500])
    (tmp_path / "text.mp4").write_text("no video")
    assert main([str(cut), str(tmp_path / "text.mp4"), str(tmp_path / "none.mp4"), "-o", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert all(f"{name}.mp4" in told for name in ("cut", "text", "none"))
    assert main(["--camera", "7", "-o", str(tmp_path / "out")]) == 1
    assert "camera 7" in capsys.readouterr().err


def test_a_failed_run_leaves_earlier_results(clip, tmp_path, capsys):
    (tmp_path / "clip_hands.npz").write_bytes(b"before")
    bad = tmp_path / "K.json"
    bad.write_text("[1, 2]")
    assert main([str(clip), "-o", str(tmp_path), "--K", str(bad)]) == 1
    assert str(bad) in capsys.readouterr().err
    assert main([str(clip), "-o", str(tmp_path), "--K", str(tmp_path / "none.json")]) == 2
    assert (tmp_path / "clip_hands.npz").read_bytes() == b"before"
    assert {path.name for path in tmp_path.iterdir()} == {"K.json", "clip_hands.npz"}


def test_videos_of_one_name_do_not_overwrite_each_other(tmp_path):
    sources = [tmp_path / "a/clip.mp4", tmp_path / "b/clip.mp4", tmp_path / "12:30.mp4"]
    for path in sources:
        path.parent.mkdir(exist_ok=True)
        writer = VideoWriter(path)
        writer.write(frame(0), 0.0)
        writer.close()
    picture_file = tmp_path / "clip.png"
    cv2.imwrite(str(picture_file), frame(0)[..., ::-1])
    assert main([*map(str, sources), str(picture_file), "-o", str(tmp_path / "out")]) == 0
    names = {path.name for path in (tmp_path / "out").glob("*.glb")}
    assert names == {"clip.glb", "clip_2.glb", "clip_3.glb", "12:30.glb"}


@pytest.mark.parametrize("size", [(63, 41), (1, 90)])
def test_frames_of_odd_sizes_are_written_whole(tmp_path, size):
    path = tmp_path / "odd.mp4"
    writer = VideoWriter(path)
    writer.write(np.full((*size, 3), 120, np.uint8), 0.0)
    writer.write(np.full((50, 50, 3), 120, np.uint8), 0.1)
    writer.close()
    shapes = {one.image.shape[:2] for one in VideoFile(path)}
    assert shapes == {tuple(side + side % 2 for side in size)}


def test_a_hand_without_a_place_is_not_tracked(find, monkeypatch):
    look = find.look

    def behind(*arguments, **settings):
        return [replace(hand, success=False) for hand in look(*arguments, **settings)]

    monkeypatch.setattr(find, "look", behind)
    assert Tracker(find).update(frame(0), 0.0) == []


def test_a_hand_does_not_jump_in_depth(find, monkeypatch):
    tracker, look = Tracker(find), find.look
    (first, *_) = tracker.update(frame(0), 0.0)

    def far_away(*arguments, **settings):
        return [replace(hand, vertices_m=3 * hand.vertices_m) for hand in look(*arguments, **settings)]

    monkeypatch.setattr(find, "look", far_away)
    (second, *_) = tracker.update(frame(1), 1 / RATE_HZ)
    assert second.bridged
    assert second.joints_m[0, 2] == pytest.approx(first.joints_m[0, 2], rel=0.1)


def test_a_hand_that_came_near_fast_is_bridged_before_the_camera(find):
    tracker, far = Tracker(find, smooth=False), np.full((*SIZE, 3), 190, np.uint8)
    far[40:264, 200:424] = picture("palm")
    nearer = cv2.warpAffine(far, cv2.getRotationMatrix2D((312, 152), 0, 1.3), SIZE[::-1], borderValue=(190,) * 3)
    frames = [tracker.update(image, number / 240) for number, image in enumerate((far, nearer))]
    frames += [tracker.update(np.full_like(far, 190), time_s) for time_s in np.arange(0.05, 0.5, 0.1)]
    assert all(hand.bridged for (hand,) in frames[2:])
    for hands in (frames, whole_tracks(frames)):
        assert all(hand.joints_m[0, 2] > 0.5 * frames[1][0].joints_m[0, 2] for (hand,) in hands)


def test_frames_without_ascending_times_are_kept(tmp_path):
    import av

    path = tmp_path / "clip.avi"  # which has no times of its own, beside frames that refer to later ones
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE_HZ, options={"bf": "3"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(12):
            image = np.full((48, 64, 3), 20 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    frames = list(VideoFile(path))
    assert len(frames) == 12
    assert (np.diff([one.time_s for one in frames]) > 0).all()
    assert (np.diff([one.image.mean() for one in frames]) > 0).all()


def test_pixels_become_square(tmp_path):
    import av

    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = 144, 108, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        image = np.zeros((108, 144, 3), np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    assert next(iter(VideoFile(tmp_path / "clip.mp4"))).image.shape == (108, 192, 3)


def test_intrinsics_beside_a_clip_are_taken(find, tmp_path):
    writer = VideoWriter(tmp_path / "clip.mp4")
    writer.write(frame(0), 0.0)
    writer.close()
    (tmp_path / "clip_K.json").write_text("[[500, 0, 320], [0, 500, 150], [0, 0, 1]]")
    ((_, hands),) = handmesh.track(tmp_path / "clip.mp4", find)
    assert {hand.camera.source for hand in hands} == {"file"}


def test_a_length_that_is_not_a_hands_is_refused(find):
    with pytest.raises(handmesh.InputError, match="hand_length_m: 18"):
        Tracker(find, hand_length_m=18)


def test_damaged_frames_are_left_out(clip, tmp_path):
    content = bytearray(clip.read_bytes())
    start = content.index(b"mdat") + 2000
    content[start : start + 400] = bytes(400)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(content)
    times = [one.time_s for one in VideoFile(damaged)]
    assert 0 < len(times) <= FRAMES
    assert all(first < second for first, second in pairwise(times))


def test_a_turned_phone_gives_upright_frames(clip, tmp_path):
    import av

    turned = tmp_path / "turned.mp4"
    with av.open(str(clip)) as source, av.open(str(turned), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        stream.set_display_rotation(90)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    assert next(iter(VideoFile(turned))).image.shape == (SIZE[1], SIZE[0], 3)


@pytest.fixture
def pose():
    model = load_hand_model()
    return HandPose(
        "right", model.pose_mean, np.zeros(len(ANGLE_NAMES)), model.shape_mean, 1.0, np.eye(3), np.array([0, 0, 0.5])
    )


def shaken(pose, rng):
    """A pose as networks see it: the larger a hand is taken for, the further away it is."""
    larger = np.exp(rng.normal(0, 0.03))
    return replace(
        pose,
        angles=pose.angles + rng.normal(0, 0.03, pose.angles.shape),
        size=pose.size * larger,
        wrist_rotation=rotation_matrices(rng.normal(0, 0.03, 3)) @ pose.wrist_rotation,
        wrist_position_m=pose.wrist_position_m * larger * np.exp(rng.normal(0, 0.01, 3) * [0.3, 0.3, 1]),
    )


def test_a_hand_at_rest_does_not_shake(pose):
    rng, smooth = np.random.default_rng(0), PoseFilter()
    noisy = [shaken(pose, rng) for _ in range(90)]
    build, quiet = Build(), []
    for number, one in enumerate(noisy):
        build.learn(one, 1.0)
        quiet.append(smooth(build(one), number / 30))

    def unrest(poses):
        return np.linalg.norm(np.diff([one.joints_m for one in poses], 2, axis=0), axis=-1)[30:].mean()

    assert unrest(quiet) < unrest(noisy) / 3
    assert np.ptp([one.size for one in quiet[60:]]) < 0.01
    assert np.abs(quiet[-1].joints_m - pose.joints_m).max() < 0.01


def test_a_fast_hand_is_not_late(pose):
    smooth, speed_m_per_s = PoseFilter(), 0.8
    for number in range(60):
        moved = replace(pose, wrist_position_m=np.array([speed_m_per_s * number / 30 - 0.5, 0, 0.5]))
        shown = smooth(moved, number / 30)
    late_s = (moved.joints_m - shown.joints_m)[:, 0].mean() / speed_m_per_s
    assert late_s < 0.04


def test_smoothing_from_both_ends_is_not_late_at_all(pose):
    times = np.arange(60) / 30
    places = np.column_stack([0.1 * np.sin(4 * times), 0 * times, 0.5 + 0 * times])
    poses = smooth_track([replace(pose, wrist_position_m=place) for place in places], list(times))
    seen = np.array([one.wrist_position_m[0] for one in poses])[15:45]
    lags = [np.abs(seen - 0.1 * np.sin(4 * (times[15:45] - lag))).mean() for lag in (-0.02, 0, 0.02)]
    assert lags[1] == min(lags)


def test_a_picture_seen_twice_as_large_is_the_same_hand(find):
    canvas = frame(0)
    small, large = (Tracker(find).update(one, 0.0) for one in (canvas, cv2.resize(canvas, None, fx=2, fy=2)))
    for one, other in zip(*(sorted(hands, key=lambda hand: hand.side) for hands in (small, large)), strict=True):
        assert np.linalg.norm(one.joints_m - other.joints_m, axis=1).mean() < 0.04
