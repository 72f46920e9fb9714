#!/usr/bin/env bash
# Train on data/FreiHAND with the paper's settings. Arguments pass through to run.py:
#   ./scripts/train_freihand.sh --model cmr_pg --template template/mano --exp_name pg
source "$(dirname "${BASH_SOURCE[0]}")/python_env.sh"
exec "$PYTHON" run.py --phase train "$@"
