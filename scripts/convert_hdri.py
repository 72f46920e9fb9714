"""Environment maps of the npm package @pmndrs/assets (Poly Haven, CC0) to Radiance .hdr files.

python scripts/convert_hdri.py pmndrs-assets-1.7.0.tgz hdri
"""

import argparse
import base64
import re
import sys
import tarfile
import tempfile
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

try:
    import OpenEXR
except ImportError:
    sys.exit("error: OpenEXR is needed to read the maps: pip install 'OpenEXR>=3.3'")

from handmesh.files import atomic_write  # noqa: E402

MODULE = re.compile(r"package/hdri/(\w+)\.exr\.js")
SIZE = (1024, 512)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path, help="what `npm pack @pmndrs/assets` wrote")
    parser.add_argument("folder", type=Path, help="where the .hdr files go")
    arguments = parser.parse_args()
    count = 0
    with tarfile.open(arguments.package) as package:
        for member in package:
            named = MODULE.fullmatch(member.name)
            if named is None:
                continue
            text = package.extractfile(member).read().decode()
            encoded = base64.b64decode(text.partition("base64,")[2].split('"')[0].split("'")[0])
            with tempfile.NamedTemporaryFile(suffix=".exr") as exr:
                exr.write(encoded)
                exr.flush()
                with OpenEXR.File(exr.name) as file:
                    picture = file.channels()["RGB"].pixels.astype(np.float32)
            with atomic_write(arguments.folder / f"{named[1]}.hdr") as file:
                file.write(
                    cv2.imencode(".hdr", cv2.resize(picture[..., ::-1], SIZE, interpolation=cv2.INTER_AREA))[
                        1
                    ].tobytes()
                )
            count += 1
    if not count:
        sys.exit(f"error: {arguments.package} holds no environment maps; expected pmndrs-assets-1.7.0.tgz")
    print(f"{count} environment maps in {arguments.folder}")


if __name__ == "__main__":
    main()
