#!/usr/bin/env bash
# Every image of a folder to a mesh in camera space. Arguments pass through to run.py:
#   ./scripts/demo.sh --image_dir photos --out_dir results --resume checkpoint.pt
source "$(dirname "${BASH_SOURCE[0]}")/python_env.sh"
exec "$PYTHON" "$ROOT/run.py" --phase demo "$@"
