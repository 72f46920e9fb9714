#!/usr/bin/env bash
# Every image of a folder to a mesh in camera space. Arguments pass through to run.py:
#   ./scripts/demo.sh --image_dir photos --out_dir results --resume checkpoint.pt
# PyTorch is installed only where it is needed: for a GPU, a checkpoint, or a run of one's own.
REQUIREMENTS=requirements-demo.txt
own="$(dirname "${BASH_SOURCE[0]}")/../out/FreiHAND/cmr/checkpoints/checkpoint_last.pt"
case " ${*//=/ } " in
    *" --device cuda "*) REQUIREMENTS=requirements.txt ;;
    *" --resume "*".onnx "*) ;;
    *" --resume "* | *" --exp_name "*) REQUIREMENTS=requirements.txt ;;
    *) if [ -f "$own" ]; then REQUIREMENTS=requirements.txt; fi ;;
esac
source "$(dirname "${BASH_SOURCE[0]}")/python_env.sh"
exec "$PYTHON" "$ROOT/run.py" --phase demo "$@"
