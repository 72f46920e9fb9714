"""Hands in pictures, as meshes in metres in front of the camera.

import handmesh

find = handmesh.load()
for hand in find(image):  # (H, W, 3) uint8 RGB
    print(hand.side, hand.confidence, hand.vertices_m)
"""

from pathlib import Path

from handmesh.camera import Camera
from handmesh.errors import InputError
from handmesh.finder import HandFinder
from handmesh.hand import Hand
from handmesh.network import OnnxNetwork
from handmesh.runtime import DATA
from handmesh.tracking import TrackedHand, Tracker
from handmesh.video import track

__version__ = "1.1.0"
__all__ = ["Camera", "Hand", "HandFinder", "InputError", "TrackedHand", "Tracker", "load", "track"]

SHIPPED = DATA / "cmr_mobile.onnx"


def load(path: str | Path = SHIPPED, threads: int | None = None) -> HandFinder:
    """From a network's file to something that is called with a picture and finds the hands in it.

    Args:
        path: an ONNX file that the export phase wrote; the default is the network that comes with this package.
        threads: that one call may use; None takes as many as there are cores, at most four.

    Raises:
        InputError: the file is missing, damaged, or another network's.
    """
    return HandFinder(OnnxNetwork(path, threads), threads)
