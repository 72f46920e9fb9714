"""Tracked hands as animated characters: a skinned mesh on the open hand's bones, as binary glTF."""

import numpy as np
from numpy.lib.recfunctions import repack_fields

from handmesh.glb import CAMERA_TO_GLTF, VERTICES, Scene
from handmesh.hand_model import load_hand_model, quaternions, rotation_vector
from handmesh.pose import MIRROR
from handmesh.skeleton import BONES, PARENTS

INFLUENCES = 4  # bones that a vertex hangs on at most, as glTF has them


def animated_glb(tracks: dict[str, np.ndarray], faces: dict[str, np.ndarray]) -> bytes:
    """One scene with a skinned hand for each track and one animation, seconds.

    The frame is glTF's: metres, x right, y up, z backward, with the camera at the origin, looking down -z. Nodes are
    named by track and bone, `TRACK_index_2`; the wrist's places the hand.

    Args:
        tracks: rows of `handmesh.video_results.row_type` by name, those of one hand in the order of their times. Shape
            and size are those of the last row, and the hand stays where it is in the picture.
        faces: triangles (F, 3) of right and left hands, outward.
    """
    scene = Scene()
    samplers: list[dict] = []
    channels: list[dict] = []
    for name, rows in tracks.items():
        bones = _add_hand(scene, name, rows[-1], faces)
        times = scene.array(rows["time_s"].astype("<f4"), "SCALAR", bounds=True)

        def animate(node: int, path: str, values: np.ndarray, kind: str, times: int = times) -> None:
            output = scene.array(np.ascontiguousarray(values, "<f4"), kind)
            channels.append({"sampler": len(samplers), "target": {"node": node, "path": path}})
            samplers.append({"input": times, "output": output, "interpolation": "LINEAR"})

        places = rows["wrist_pose"].astype(float)
        larger = rows["size"][-1] / rows["size"]
        animate(bones[0], "translation", places[:, :3, 3] * larger[:, None] * CAMERA_TO_GLTF, "VEC3")
        turned = np.diag(CAMERA_TO_GLTF) @ places[:, :3, :3]
        animate(bones[0], "rotation", _steady(np.array([quaternions(rotation_vector(one)) for one in turned])), "VEC4")
        for bone in range(1, len(BONES)):
            animate(bones[bone], "rotation", _steady(rows["quaternions"][:, bone].astype(float)), "VEC4")
    if channels:
        scene.add("animations", name="hands", samplers=samplers, channels=channels)
    return scene.to_bytes()


def _add_hand(scene: Scene, name: str, row: np.ndarray, faces: dict[str, np.ndarray]) -> list[int]:
    """Add mesh, bones and skin of a hand at rest; the nodes of its bones."""
    model, side = load_hand_model(), "right" if row["right"] else "left"
    mirror = np.eye(3) if row["right"] else MIRROR
    vertices, joints = (row["size"] * points @ mirror for points in model.rest(row["shape"].astype(float)))
    strongest = np.argsort(-model.weights, axis=1)[:, :INFLUENCES]
    weights = np.take_along_axis(model.weights, strongest, axis=1)
    weights = weights / weights.sum(axis=1, keepdims=True)
    strongest = np.where(weights > 0, strongest, 0)
    mesh = scene.mesh(
        name,
        vertices,
        faces[side],
        side,
        JOINTS_0=scene.array(strongest.astype("|u1"), "VEC4", VERTICES),
        WEIGHTS_0=scene.array(weights.astype("<f4"), "VEC4", VERTICES),
    )
    inverse = np.tile(np.eye(4, dtype="<f4"), (len(BONES), 1, 1))
    inverse[:, 3, :3] = -joints  # glTF's matrices are written column after column
    nodes: dict[int, int] = {}
    for bone in reversed(range(len(BONES))):  # a node names those below it
        offset = joints[bone] - (joints[PARENTS[bone]] if bone else 0)
        below = [nodes[int(child)] for child in np.flatnonzero(bone == PARENTS)]
        linked = {"children": below} if below else {}
        nodes[bone] = scene.add("nodes", name=f"{name}_{BONES[bone]}", translation=offset.tolist(), **linked)
    bones = [nodes[bone] for bone in range(len(BONES))]
    skin = scene.add("skins", joints=bones, inverseBindMatrices=scene.array(inverse, "MAT4"), skeleton=bones[0])
    scene.roots += [bones[0], scene.add("nodes", name=name, mesh=mesh, skin=skin)]
    return bones


def _steady(rotations: np.ndarray) -> np.ndarray:
    """Quaternions (N, 4), w first, as glTF has them, x first, each on the side of the one before."""
    signs = np.sign((rotations[1:] * rotations[:-1]).sum(axis=1))
    steady = rotations * np.cumprod(np.concatenate([[1], np.where(signs == 0, 1, signs)]))[:, None]
    steady = steady / np.linalg.norm(steady, axis=1, keepdims=True)
    return np.roll(steady, -1, axis=1)


def by_track(rows: np.ndarray) -> dict[str, np.ndarray]:
    """Rows of each hand by its name, `right_1`, `left_2`: side and number of the track."""
    tracks: dict[str, np.ndarray] = {}
    kept = [name for name in rows.dtype.names or () if name != "vertices_m"]  # the rest fits in memory
    rows = repack_fields(rows[kept])  # type: ignore[index]
    for number in np.unique(rows["track"]):
        own = rows[rows["track"] == number]
        tracks[f"{'right' if own['right'][0] else 'left'}_{number}"] = own
    return tracks
