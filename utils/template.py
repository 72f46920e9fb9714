"""The template: mesh levels, spirals, transforms and joint regressor that a network is built on."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import sparse

from handmesh.errors import InputError
from handmesh.files import content_digest, read_array
from handmesh.joints import MANO_TIP_VERTICES, MANO_TO_FREIHAND, NUM_JOINTS
from utils.mesh.files import faces_fit, read_mesh
from utils.mesh.hierarchy import NUM_LEVELS, MeshHierarchy, cached_hierarchy
from utils.mesh.spirals import extract_spirals
from utils.restricted_pickle import load_arrays

ROOT = Path(__file__).resolve().parents[1]
OPEN_HAND = "template/open_hand"  # the default template, in this repository
SPIRAL_LENGTH = 27
FREIHAND_ORDER = tuple(range(NUM_JOINTS))

# Names under which a joint regressor is looked for beside a mesh, and the order of its rows.
REGRESSOR_FILES = {
    "joint_regressor.npy": FREIHAND_ORDER,
    "joint_regressor_cmr.npy": MANO_TO_FREIHAND,
    "j_reg.npy": MANO_TO_FREIHAND,  # of the original implementation
}
MESH_SUFFIXES = (".ply", ".obj")
MANO_FILE = "MANO_RIGHT.pkl"


@dataclass(frozen=True)
class Template:
    """A hand surface at five levels, finest first.

    Attributes:
        vertices: (V, 3) finest level, metres, any position.
        faces: five arrays (F_l, 3).
        spirals: four arrays (V_l, S), the levels that SpiralConv works on.
        down: four matrices (V_{l+1}, V_l), selections.
        up: four matrices (V_l, V_{l+1}), interpolations.
        joint_regressor: (21, V), joints in FreiHAND order.
    """

    vertices: np.ndarray
    faces: tuple[np.ndarray, ...]
    spirals: tuple[np.ndarray, ...]
    down: tuple[sparse.csr_matrix, ...]
    up: tuple[sparse.csr_matrix, ...]
    joint_regressor: np.ndarray

    @property
    def num_vertices(self) -> tuple[int, ...]:
        """Vertices per level, finest first: five numbers."""
        return (len(self.vertices), *(matrix.shape[1] for matrix in self.up))

    @property
    def digest(self) -> str:
        """Identifies what a network's weights depend on: spirals, up-sampling and joints."""
        matrices = [array for matrix in self.up for array in (matrix.indices, matrix.data)]
        return content_digest(*self.spirals, *matrices, self.joint_regressor)


def load_template(
    path: str | Path, seq_length: int | Sequence[int] = SPIRAL_LENGTH, dilation: int | Sequence[int] = 1
) -> Template:
    """Read a template, or build one from a mesh.

    Args:
        path: one of
            - a folder with the released `transform.pkl` and `template.ply`;
            - a folder with `template.ply` or `template.obj`, or such a mesh file itself;
            - a `MANO_RIGHT.pkl`.
            A joint regressor lies beside the mesh: `joint_regressor.npy` (21 rows in FreiHAND order),
            `joint_regressor_cmr.npy` or `j_reg.npy` (16 or 21 rows in MANO order, further ones are left out), or a
            `MANO_RIGHT.pkl`. A relative path that is not there is looked for in this repository.
        seq_length: spiral length, one for all levels or one for each of the four finest, finest first.
        dilation: spiral dilation, likewise.

    Raises:
        InputError: a file is missing or does not fit the others; the message names it.
    """
    path = Path(path)
    if not path.exists() and (ROOT / path).exists():
        path = ROOT / path
    if not path.exists():
        raise InputError(f"{path}: no such template; see template/README.md for what goes there")
    if path.name.endswith(".pkl") and path.name != "transform.pkl":
        vertices, faces, regressor = _read_mano(path)
        hierarchy, order = cached_hierarchy(vertices, faces), MANO_TO_FREIHAND
    else:
        folder, hierarchy = _hierarchy_of(path)
        regressor, order = _find_regressor(folder, path)
    num_vertices = len(hierarchy.vertices[0])
    regressor = _checked_regressor(path, regressor)
    if regressor.shape != (NUM_JOINTS, num_vertices):
        raise InputError(
            f"{path}: the joint regressor is {regressor.shape[0]} x {regressor.shape[1]}, "
            f"expected {NUM_JOINTS} x {num_vertices} for this mesh"
        )
    lengths, dilations = _per_level("seq_length", seq_length), _per_level("dilation", dilation)
    levels = zip(hierarchy.vertices, hierarchy.faces, lengths, dilations, strict=False)
    return Template(
        vertices=hierarchy.vertices[0],
        faces=hierarchy.faces,
        spirals=tuple(extract_spirals(*level) for level in levels),
        down=hierarchy.down,
        up=hierarchy.up,
        joint_regressor=np.ascontiguousarray(regressor[list(order)]),
    )


def _checked_regressor(path: Path, regressor: np.ndarray) -> np.ndarray:
    try:
        regressor = np.asarray(regressor).astype(np.float64, casting="safe")
    except TypeError as error:
        raise InputError(f"{path}: its joint regressor holds {regressor.dtype}, expected numbers") from error
    if regressor.ndim != 2 or not np.isfinite(regressor).all():
        raise InputError(f"{path}: expected a joint regressor of 21 x V finite numbers")
    return regressor


def _per_level(option: str, value: int | Sequence[int]) -> tuple[int, ...]:
    values = (value,) * (NUM_LEVELS - 1) if isinstance(value, int) else tuple(value)
    if len(values) != NUM_LEVELS - 1 or min(values) < 1:
        raise InputError(
            f"{option} {list(values)}: expected {NUM_LEVELS - 1} numbers of at least 1, finest level first"
        )
    return values


def _hierarchy_of(path: Path) -> tuple[Path, MeshHierarchy]:
    if path.is_dir():
        released = path / "transform.pkl"
        if released.is_file():
            return path, _read_released(released)
        meshes = [path / f"template{suffix}" for suffix in MESH_SUFFIXES]
        mesh = next((file for file in meshes if file.is_file()), None)
        if mesh is None:
            raise InputError(f"{path}: holds neither transform.pkl nor template.ply nor template.obj")
        return path, _build_from_mesh(mesh)
    if path.name == "transform.pkl":
        return path.parent, _read_released(path)
    if path.suffix in MESH_SUFFIXES and path.is_file():
        return path.parent, _build_from_mesh(path)
    raise InputError(f"{path}: expected a folder, a .ply or .obj mesh, or a {MANO_FILE}")


def _read_released(path: Path) -> MeshHierarchy:
    """The released `transform.pkl`, checked against the `template.ply` beside it where there is one."""
    data = load_arrays(path)
    try:
        vertices = tuple(np.asarray(level, np.float64) for level in data["vertices"])
        faces = tuple(np.asarray(level).astype(np.int64) for level in data["face"])
        down = tuple(sparse.csr_matrix(matrix) for matrix in data["down_transform"])
        up = tuple(sparse.csr_matrix(matrix) for matrix in data["up_transform"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a transform file ({error!r}); expected vertices, face, down and up") from error
    sizes = [len(level) for level in vertices]
    shapes = [matrix.shape for matrix in up]
    if len(sizes) != NUM_LEVELS or shapes != list(pairwise(sizes)):
        raise InputError(f"{path}: levels of {sizes} vertices do not fit up-sampling matrices of {shapes}")
    if len(faces) != NUM_LEVELS or not all(faces_fit(*level) for level in zip(faces, sizes, strict=True)):
        raise InputError(f"{path}: expected five lists of triangles that name vertices of their own level")
    selections = [(matrix.shape[::-1], set(np.diff(matrix.indptr)), set(matrix.data)) for matrix in down]
    if selections != [(shape, {1}, {1.0}) for shape in shapes]:
        raise InputError(f"{path}: expected four down-sampling matrices that select one finer vertex for each coarser")
    if not all(np.isfinite(matrix.data).all() for matrix in up):
        raise InputError(f"{path}: an up-sampling matrix holds values that are not finite")
    mesh = path.parent / "template.ply"
    if mesh.is_file() and len(read_mesh(mesh).vertices) != sizes[0]:
        raise InputError(f"{mesh}: its number of vertices is not that of {path} ({sizes[0]})")
    return MeshHierarchy(vertices, faces, down, up)


def _build_from_mesh(path: Path) -> MeshHierarchy:
    mesh = read_mesh(path)
    return cached_hierarchy(np.asarray(mesh.vertices), np.asarray(mesh.faces))


def _find_regressor(folder: Path, asked: Path) -> tuple[np.ndarray, tuple[int, ...]]:
    for name, order in REGRESSOR_FILES.items():
        file = folder / name
        if file.is_file():
            regressor = read_array(file)
            return (_with_mano_tips(regressor) if order is MANO_TO_FREIHAND else regressor), order
    mano = folder / MANO_FILE
    if mano.is_file():
        return _read_mano(mano)[2], MANO_TO_FREIHAND
    wanted = ", ".join([*REGRESSOR_FILES, MANO_FILE])
    raise InputError(f"{asked}: no joint regressor in {folder}; expected one of {wanted}")


def _read_mano(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, faces and 21-row joint regressor, in MANO order, of a `MANO_RIGHT.pkl`."""
    data = load_arrays(path)
    try:
        vertices = np.asarray(data["v_template"], np.float64)
        faces = np.asarray(data["f"]).astype(np.int64)
        regressor = data["J_regressor"]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a MANO model ({error!r}); expected v_template, f and J_regressor") from error
    if not faces_fit(faces, len(vertices)):
        raise InputError(f"{path}: expected triangles that name existing vertices")
    regressor = regressor.toarray() if sparse.issparse(regressor) else np.asarray(regressor)
    return vertices, faces, _with_mano_tips(regressor)


def _with_mano_tips(regressor: np.ndarray) -> np.ndarray:
    """MANO's regressor has 16 rows; the five finger tips are single vertices. The original's `j_reg.npy` has them, and
    may go on with rows for other points that the original itself does not read."""
    if regressor.ndim != 2 or len(regressor) != NUM_JOINTS - len(MANO_TIP_VERTICES):
        return regressor[:NUM_JOINTS] if regressor.ndim == 2 else regressor
    if regressor.shape[1] <= max(MANO_TIP_VERTICES):
        raise InputError(f"a 16-row joint regressor is MANO's and has 778 columns, this one has {regressor.shape[1]}")
    return np.concatenate([regressor, np.eye(regressor.shape[1])[list(MANO_TIP_VERTICES)]])
