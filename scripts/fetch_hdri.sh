#!/usr/bin/env bash
# Fetch 18 environment maps (Poly Haven, CC0) with npm, 14 MB, for --hdri:
#   ./scripts/fetch_hdri.sh data/hdri
REQUIREMENTS=requirements-demo.txt
source "$(dirname "${BASH_SOURCE[0]}")/python_env.sh"
folder=${1:-$ROOT/data/hdri}
command -v npm >/dev/null || { echo "error: npm is needed to fetch @pmndrs/assets; install Node.js" >&2; exit 2; }
if [ "$PYTHON" = "$ROOT/.venv/bin/python" ]; then
    "$PYTHON" -m pip install --quiet --disable-pip-version-check "OpenEXR>=3.3"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm pack --silent --pack-destination "$work" @pmndrs/assets@1.7.0 >/dev/null
"$PYTHON" "$ROOT/scripts/convert_hdri.py" "$work"/pmndrs-assets-1.7.0.tgz "$folder"
