"""HO-3D (Hampali et al. 2020), versions 2 and 3: right hands with objects; joints, no masks and no meshes."""

from pathlib import Path

import numpy as np

from datasets.augmentation import HandSample
from datasets.freihand_rows import check_cameras
from datasets.square import square_sample
from handmesh.errors import InputError
from handmesh.geometry import project
from handmesh.images import read_image
from handmesh.joints import NUM_JOINTS
from utils.restricted_pickle import load_arrays

# MANO's joints, then the tips from thumb to little finger. Entry i is the row of FreiHAND joint i.
HO3D_TO_FREIHAND = [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20]
OPENGL_TO_CAMERA = np.array([1.0, -1.0, -1.0])  # y goes up there, and z towards the viewer
SUFFIXES = (".jpg", ".png")  # of version 3, of version 2


class HO3DFiles:
    """The frames of `train.txt` whose hand is annotated.

    Args:
        root: folder with `train.txt` and, for each line SEQUENCE/FRAME of it, `train/SEQUENCE/rgb/FRAME.jpg` (or .png)
            and `train/SEQUENCE/meta/FRAME.pkl`.
        num_vertices: vertices of the template.

    Raises:
        InputError: a list or an annotation is missing or is something else.
    """

    def __init__(self, root: Path, num_vertices: int) -> None:
        self.num_vertices = num_vertices
        path = root / "train.txt"
        try:
            lines = path.read_text(encoding="utf-8").split()
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read ({error}); expected SEQUENCE/FRAME in each line") from error
        self.images, cameras, hands = [], [], []
        for line in lines:
            sequence, _, frame = line.rpartition("/")
            folder = root / "train" / sequence
            annotation = _annotation(folder / "meta" / f"{frame}.pkl")
            if annotation is not None:
                self.images.append(folder / "rgb" / frame)
                cameras.append(annotation[0])
                hands.append(annotation[1])
        if not self.images:
            raise InputError(f"{path}: names no frame whose hand is annotated")
        self.K, self.joints = np.array(cameras), np.array(hands)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> HandSample:
        """Frame `index` with its annotation. Raises InputError if the image cannot be read."""
        names = [self.images[index].with_name(self.images[index].name + suffix) for suffix in SUFFIXES]
        path = next((name for name in names if name.is_file()), names[0])
        joints, K = self.joints[index], self.K[index]
        no_mesh = np.full((self.num_vertices, 3), np.nan)
        return square_sample(str(path), read_image(path), None, project(joints, K), no_mesh, K, joints - joints[0])


def _annotation(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """K (3, 3) and joints (21, 3) in the frame of the camera, FreiHAND order; None where there are none."""
    content = load_arrays(path)
    content = content if isinstance(content, dict) else {}
    K, joints = content.get("camMat"), content.get("handJoints3D")
    if "handJoints3D" in content and (K is None or joints is None):
        return None
    if np.shape(K) != (3, 3) or np.shape(joints) != (NUM_JOINTS, 3):
        raise InputError(f"{path}: expected camMat (3, 3) and handJoints3D (21, 3), or None where there is no hand")
    try:
        K, joints = np.asarray(K, np.float64), np.asarray(joints, np.float64) * OPENGL_TO_CAMERA
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: camMat, handJoints3D: expected numbers ({error})") from error
    check_cameras(path, K[None])
    if not (np.isfinite(joints).all() and (joints[:, 2] > 0).all()):
        raise InputError(f"{path}: handJoints3D: expected joints before the camera, in metres, z towards the viewer")
    return K, joints[HO3D_TO_FREIHAND]
