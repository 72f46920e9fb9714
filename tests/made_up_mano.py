"""A model in MANO's format that is made up from the open hand."""

import pickle
from pathlib import Path

import numpy as np
from scipy import sparse

from handmesh.hand_model import load_hand_model
from handmesh.joints import MANO_TO_FREIHAND
from handmesh.skeleton import BONES

MANO_FINGERS = ("index", "middle", "little", "ring", "thumb")
MANO_JOINTS = ("wrist", *(f"{finger}_{part}" for finger in MANO_FINGERS for part in (1, 2, 3)))
PARENTS = [-1, *(0 if joint % 3 == 1 else joint - 1 for joint in range(1, 16))]


def write_made_up_mano(path: Path, **changes) -> dict:
    """Write it, and return what the file holds; what is changed to None is left out."""
    model, rng = load_hand_model(), np.random.default_rng(0)
    weights = np.zeros((len(model.vertices), 16))
    for bone, name in enumerate(BONES):
        weights[:, MANO_JOINTS.index(name) if name in MANO_JOINTS else 0] += model.weights[:, bone]
    regressor = np.empty((21, len(model.vertices)))
    regressor[list(MANO_TO_FREIHAND)] = model.joint_regressor
    waves = np.sin(model.vertices @ rng.uniform(-60, 60, (3, 30)) + rng.uniform(0, 6, 30)).reshape(-1, 3, 10)
    content = {
        "v_template": model.vertices + np.array([0.09, 0.005, 0.006]),
        "f": model.faces.astype(np.uint32),
        "shapedirs": 0.003 * waves,
        "posedirs": rng.normal(0, 1e-4, (len(model.vertices), 3, 135)),
        "J_regressor": sparse.csc_matrix(regressor[:16]),
        "weights": weights,
        "hands_mean": rng.normal(0, 0.2, 45),
        "kintree_table": np.array([PARENTS, range(16)]).astype(np.uint32),
    }
    content = {key: value for key, value in (content | changes).items() if value is not None}
    path.write_bytes(pickle.dumps(content))
    return content
