"""Hands of a photo, from pixels in memory to a mesh in camera space, with the weights of this repository."""

import argparse
from dataclasses import asdict
from functools import partial

import cv2

from benchmarks.cases import Bench
from benchmarks.timing import compare
from handmesh.images import read_image
from models.pretrained import SHIPPED_WEIGHTS, load_pretrained
from utils.template import ROOT

PHOTO = ROOT / "images/palm_img.jpg"
SIDES_PX = (224, 1280)


def photo(bench: Bench, arguments: argparse.Namespace) -> dict:
    """One photo with one hand, detection included, and its parts; images per second."""
    predictor = load_pretrained(device=str(bench.device))
    result: dict = {"weights_mb": SHIPPED_WEIGHTS.stat().st_size / 1e6}
    print(f"photo: weights {result['weights_mb']:.1f} MB")
    for side in SIDES_PX:
        image = cv2.resize(read_image(PHOTO), (side, side), interpolation=cv2.INTER_CUBIC)
        finder = predictor.finder
        (palm,) = finder.palms(image)
        ways = {
            "all": partial(predictor, image),
            "palms": partial(finder.palms, image),
            "landmarks": partial(finder.landmarks, image, palm.roi),
            "all detection": partial(finder, image),
        }
        timings = compare(ways, arguments.seconds)
        for name, timing in timings.items():
            print(
                f"  {side} px, {name:14} p50 {timing.p50_s * 1e3:8.2f} ms   p95 {timing.p95_s * 1e3:8.2f} ms   "
                f"{1 / timing.p50_s:7.1f} images/s"
            )
        result[f"{side} px"] = {name: asdict(timing) for name, timing in timings.items()}
    return result
