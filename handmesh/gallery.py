"""`index.html`: the results of a run on one page that opens without a network."""

from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from handmesh.files import atomic_write

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1500px; padding: 0 1rem; color: #222; }
section { margin: 2rem 0; border-top: 1px solid #ddd; padding-top: 1rem; }
img { max-width: 100%; height: auto; display: block; }
table { border-collapse: collapse; margin: .5rem 0; } td, th { padding: .1rem .9rem .1rem 0; text-align: left; }
.warning { color: #9a4a00; }
"""


@dataclass(frozen=True)
class GalleryEntry:
    """What the page says of an image.

    Attributes:
        name: of the image.
        files: beside the page, the plot first; empty for an image that was skipped.
        rows: a line for each hand.
        warning: what is to be said of it; empty if nothing.
    """

    name: str
    files: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = ()
    warning: str = ""


COLUMNS = ("hand", "confidence", "distance of the wrist", "residual", "K from")


def write_gallery(path: Path, title: str, entries: list[GalleryEntry]) -> None:
    """Write the page."""
    body = "\n".join(_section(entry) for entry in entries)
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>{escape(title)}</h1>\n{body}\n</body></html>\n"
    )
    with atomic_write(path, "w") as file:
        file.write(page)


def _section(entry: GalleryEntry) -> str:
    parts = [f"<section><h2>{escape(entry.name)}</h2>"]
    if entry.warning:
        parts.append(f'<p class="warning">{escape(entry.warning)}</p>')
    if entry.rows:
        head = "".join(f"<th>{escape(column)}</th>" for column in COLUMNS)
        lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in entry.rows)
        parts.append(f"<table><tr>{head}</tr>{lines}</table>")
    if entry.files:
        plot, *rest = entry.files
        parts.append(f'<a href="{quote(plot)}"><img src="{quote(plot)}" alt="{escape(entry.name)}" loading="lazy"></a>')
        parts.append("<p>" + " · ".join(f'<a href="{quote(name)}">{escape(name)}</a>' for name in rest) + "</p>")
    return "\n".join([*parts, "</section>"])
