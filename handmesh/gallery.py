"""`index.html`: the results of a run on one page that opens without a network."""

import json
import os
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from handmesh.files import atomic_write, printable
from handmesh.runtime import DATA

STYLE = """
:root { color-scheme: light dark; --ink: #222; --ground: #fff; --line: #ddd; --stage: #f4f4f2; --warning: #9a4a00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e4e4; --ground: #161616; --line: #3a3a3a; --stage: #222326; --warning: #ffb066; }
}
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1500px; padding: 0 1rem; color: var(--ink);
  background: var(--ground); }
a { color: inherit; }
h1, h2, p { overflow-wrap: anywhere; }
section { margin: 2rem 0; border-top: 1px solid var(--line); padding-top: 1rem; }
img { max-width: 100%; height: auto; display: block; }
.table { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; } td, th { padding: .1rem .9rem .1rem 0; text-align: left; }
.warning { color: var(--warning); }
.shown { display: grid; gap: 1rem; align-items: start; grid-template-columns: minmax(0, 1fr); }
@media (min-width: 60rem) { .shown:has(.view) { grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); } }
.view { position: relative; aspect-ratio: 4 / 3; overflow: hidden; background: var(--stage); border-radius: 6px;
  cursor: grab; user-select: none; }
.view:active { cursor: grabbing; }
.view p, .view small { position: absolute; left: .7rem; bottom: .4rem; margin: 0; }
.view canvas { position: absolute; inset: 0; width: 100%; height: 100%; }
"""

COLUMNS = ("hand", "confidence", "distance of the wrist", "residual", "K from")
HOW_TO_TURN = (
    "The 3D views show each hand where it is in front of the camera. Drag to turn; Ctrl and the wheel, or two fingers, "
    "to zoom; double-click to start again. On the keyboard: arrows, plus and minus, Home."
)
PICTURES = (".jpg", ".png")
NO_VIEW = "The 3D view needs JavaScript and WebGL."


@dataclass(frozen=True)
class GalleryEntry:
    """What the page says of an image.

    Attributes:
        name: of the image.
        files: beside the page, the plot first; empty for an image that was skipped.
        rows: a line for each hand.
        warning: what is to be said of it; empty if nothing.
        scene: the hands as `handmesh.glb.glb_bytes` gives them, for a 3D view; empty for none.
        picture: file beside the page that the 3D view shows behind the hands; empty for none.
        K: (3, 3) intrinsics of the image, pixels; needed for a 3D view.
        size: width and height of the image, whatever the resolution of `picture`; needed for a 3D view.
    """

    name: str
    files: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = ()
    warning: str = ""
    scene: bytes = b""
    picture: str = ""
    K: Sequence[Sequence[float]] = ()
    size: tuple[int, int] = (0, 0)


def write_gallery(path: Path, title: str, entries: list[GalleryEntry]) -> None:
    """Write the page. Raises InputError if that cannot be done."""
    with atomic_write(path, "w") as file:
        file.writelines(_page(title, entries))


def _page(title: str, entries: list[GalleryEntry]) -> Iterator[str]:
    turns = any(entry.scene for entry in entries)
    yield (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head>\n<body><main><h1>{_text(title)}</h1>\n"
    )
    if turns:
        yield f'<p id="turning">{HOW_TO_TURN}</p>\n'
    yield from map(_section, entries)
    yield "</main>"
    if turns:  # its licence is at the bundle's end
        yield f"<script>{(DATA / 'viewer.js').read_text(encoding='utf-8')}</script>"
    yield "</body></html>\n"


def _section(entry: GalleryEntry) -> str:
    parts = [f"<section><h2>{_text(entry.name)}</h2>"]
    if entry.warning:
        parts.append(f'<p class="warning">{_text(entry.warning)}</p>')
    if entry.rows:
        head = "".join(f'<th scope="col">{_text(column)}</th>' for column in COLUMNS)
        lines = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in entry.rows)
        parts.append(f'<div class="table"><table><tr>{head}</tr>{lines}</table></div>')
    shown = _view(entry) if entry.scene else ""
    first = next((name for name in entry.files if name.endswith(PICTURES)), None)
    if first is not None:
        plot = _link(first)
        shown = f'<a href="{plot}"><img src="{plot}" alt="{_text(entry.name)}" loading="lazy"></a>' + shown
    parts.append(f'<div class="shown">{shown}</div>')
    links = " · ".join(f'<a href="{_link(name)}">{_text(name)}</a>' for name in entry.files if name != first)
    if links:
        parts.append(f"<p>{links}</p>")
    return "\n".join([*parts, "</section>\n"])


def _view(entry: GalleryEntry) -> str:
    """What `viewer/view.js` makes a 3D view of."""
    K = [[float(value) for value in row] for row in entry.K]
    camera = escape(json.dumps({"K": K, "size": [int(side) for side in entry.size]}))
    return (
        f'<div class="view" role="group" aria-label="3D view of {_text(entry.name)}" '
        f'data-camera="{camera}" data-picture="{_link(entry.picture)}" '
        f'data-scene="{b64encode(entry.scene).decode()}"><p>{NO_VIEW}</p></div>'
    )


def _text(text: str) -> str:
    """Escape text; a file name that is not UTF-8 holds what no page may."""
    return escape(printable(text))


def _link(name: str) -> str:
    return quote(os.fsencode(name))
