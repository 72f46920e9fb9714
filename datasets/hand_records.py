"""Annotated images as records of a `Store`."""

import numpy as np

from datasets.augmentation import HandSample
from datasets.store import Record, Store
from handmesh.geometry import project


def hand_record(image: np.ndarray, mask: np.ndarray, vertices_m: np.ndarray, K: np.ndarray, xyz: np.ndarray) -> Record:
    """One annotated image.

    Args:
        image: (S, S, 3) uint8; mask: (S, S), positive on the hand.
        vertices_m: (V, 3), xyz: (21, 3) of the joints, both in the frame of the camera.
        K: (3, 3).
    """
    vertices = vertices_m.astype(np.float32)
    return {"image": image, "mask": np.packbits(mask > 0), "vertices": vertices, "K": K, "xyz": xyz}


def read_hand(store: Store, number: int) -> HandSample:
    """Image `number` of a store with its annotation. Raises InputError if it is not there or damaged."""
    record = store.read(number)
    side = len(record["image"])
    return HandSample(
        image=record["image"],
        mask=np.unpackbits(record["mask"], count=side * side).reshape(side, side) * np.uint8(255),
        landmarks_px=project(record["xyz"], record["K"]),
        vertices_m=record["vertices"].astype(np.float64) - record["xyz"][0],
        K=record["K"],
    )
