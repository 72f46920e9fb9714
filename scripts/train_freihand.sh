#!/usr/bin/env bash
# Train on data/FreiHAND with the paper's schedule. FreiHAND's meshes need MANO's template. Arguments pass through to
# run.py:
#   ./scripts/train_freihand.sh --template template/mano --model cmr_pg --exp_name pg
source "$(dirname "${BASH_SOURCE[0]}")/python_env.sh"
exec "$PYTHON" "$ROOT/run.py" --phase train "$@"
