"""Images to hands in camera space: files of each, and a page of all."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from handmesh.camera import DEFAULT_FOV_DEGREES, FROM_FOV, find_camera
from handmesh.errors import InputError
from handmesh.files import printable, read_json, remove_leftovers
from handmesh.finder import HandFinder
from handmesh.gallery import GalleryEntry, write_gallery
from handmesh.glb import glb_bytes
from handmesh.hand import Hand
from handmesh.image_folder import ImageEntry, find_images
from handmesh.results import DEFAULT_RESULTS, write_results


@dataclass(frozen=True)
class DemoSettings:
    """How the images are looked at, and what is written of them; see `HandFinder`.

    Attributes:
        detect, hand, hand_length_m: as of `HandFinder`.
        fov_degrees: across the longer side, where neither a file nor EXIF data says more.
        K: a file with the intrinsics of all images that have none of their own.
        mirrored: the images are mirror images.
        boxes: of the hands, by file name; the hands of other images are looked for.
        save: names of `handmesh.results.RESULTS`.
    """

    detect: str | None = None
    hand: str = "auto"
    hand_length_m: float | None = None
    fov_degrees: float = DEFAULT_FOV_DEGREES
    K: Path | None = None
    mirrored: bool = False
    boxes: Mapping[str, list] = field(default_factory=dict)
    save: tuple[str, ...] = DEFAULT_RESULTS


def read_boxes(path: Path) -> dict[str, list]:
    """Boxes of hands by file name, from a JSON file. Raises InputError."""
    expected = '{"photo.jpg": [[left, top, right, bottom], ...], ...} in pixels'
    content = read_json(path, expected)
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected {expected}")
    return content


def run(find: HandFinder, sources: Sequence[Path], results: Path, settings: DemoSettings) -> int:
    """Find the hands of all images and write the results; an image that cannot be used is named and left out.

    Args:
        sources: folders, files, patterns; see `find_images`.

    Returns:
        The exit status: 0, or 1 if any image was left out.

    Raises:
        InputError: there is no image, or the results cannot be written.
    """
    entries, others = find_images(sources)
    if settings.K is not None and not settings.K.is_file():
        raise InputError(f"{settings.K}: no such file; expected intrinsics")
    unknown = sorted(set(settings.boxes) - {entry.path.name for entry in entries})
    if unknown:
        raise InputError(f"boxes of {unknown[0]}: there is no such image")
    remove_leftovers(results)
    pages, notes, skipped = [], [], []
    started = time.perf_counter()
    for entry in tqdm(entries, unit="image", dynamic_ncols=True):
        try:
            page = process(entry, find, results, settings)
            notes += [f"{page.name}: {page.warning}"] if page.warning else []
        except Exception as error:  # whatever is wrong with one image, the others are done
            message = named_error(error, entry.path)
            skipped.append(message)
            page = GalleryEntry(entry.name, (), warning=f"skipped: {message}")
        pages.append(page)
    seconds = time.perf_counter() - started
    write_gallery(results / "index.html", "Hands", pages)
    count, done = sum(len(page.rows) for page in pages), len(pages) - len(skipped)
    print(
        f"{count} hands in {done} of {len(entries)} images, {seconds:.1f} s; "
        f"results in {printable(str(results))}, index.html shows them"
    )
    for note in notes:
        print(printable(note))
    for message in (*others, *skipped):
        print(printable(f"skipped: {message}"), file=sys.stderr)
    return 1 if skipped else 0


def named_error(error: Exception, source: Path | str) -> str:
    """What is wrong with a picture or a video, beginning with what it is about."""
    message = str(error) if isinstance(error, InputError) else repr(error)
    return message if str(source) in message else f"{source}: {message}"


def process(entry: ImageEntry, find: HandFinder, folder: Path, settings: DemoSettings) -> GalleryEntry:
    """Write the files of one image and say what is in them. Raises InputError."""
    image = entry.read()
    height, width = image.shape[:2]
    camera = find_camera(entry.path, height, width, settings.fov_degrees, settings.K)
    hands = find(
        image,
        camera,
        settings.detect,
        settings.hand,
        settings.hand_length_m,
        settings.mirrored,
        settings.boxes.get(entry.path.name),
    )
    if settings.mirrored:  # as the hands are
        image, camera = np.ascontiguousarray(image[:, ::-1]), camera.mirrored(width)
    written = write_results(settings.save, folder, entry, image, hands, find.faces)
    overlay = f"{entry.name}_overlay.jpg"
    return GalleryEntry(
        entry.name,
        written,
        tuple(map(_row, hands)),
        _warning(hands),
        scene=glb_bytes(hands, find.faces) if hands else b"",
        picture=overlay if overlay in written else "",
        K=camera.K.tolist(),
        size=(width, height),
    )


def _row(hand: Hand) -> tuple[str, ...]:
    residual = f"{hand.residual_px:.1f} px" if np.isfinite(hand.residual_px) else "no landmark fitted"
    deviation = "" if np.isnan(hand.depth_deviation_m) else f" ± {hand.depth_deviation_m:.2f}"
    distance = f"{hand.depth_m:.2f}{deviation} m" + (" (approximate)" if hand.camera.approximate else "")
    return hand.side, f"{hand.confidence:.0%}", distance, residual, hand.camera.source


def _warning(hands: list[Hand]) -> str:
    if not hands:
        return "no hand found"
    warnings = [*hands[0].warnings]
    if not all(hand.success for hand in hands):
        warnings.append("position in camera space not reliable")
    if hands[0].camera.source == FROM_FOV and not hands[0].known_size:
        warnings.append("focal length guessed: distances are approximate")
    return "; ".join(warnings)
