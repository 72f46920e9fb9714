#!/usr/bin/env python3
"""Write the checksums of the networks in `handmesh/data`. What makes one of them anew calls this.

python scripts/checksums.py
"""

import hashlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from handmesh.files import atomic_write  # noqa: E402
from handmesh.runtime import CHECKSUMS, DATA  # noqa: E402


def write_checksums() -> None:
    """Write `SHA256SUMS`, as the command sha256sum does."""
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(DATA.glob("*.onnx"))]
    with atomic_write(CHECKSUMS, "w") as file:
        file.writelines(sums)


if __name__ == "__main__":
    write_checksums()
