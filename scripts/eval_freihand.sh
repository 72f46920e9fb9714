#!/usr/bin/env bash
# Predict the FreiHAND evaluation set, write the challenge JSON and zip, and score them if annotations are there.
# Arguments pass through to run.py:
#   ./scripts/eval_freihand.sh --exp_name pg
source "$(dirname "${BASH_SOURCE[0]}")/python_env.sh"
exec "$PYTHON" "$ROOT/run.py" --phase eval "$@"
