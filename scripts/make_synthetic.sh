#!/usr/bin/env bash
# Generate training and evaluation data in FreiHAND's layout, by default to data/Synthetic. Arguments pass through to
# run.py:
#   ./scripts/make_synthetic.sh --train_samples 30000 --hdri data/hdri
source "$(dirname "${BASH_SOURCE[0]}")/python_env.sh"
exec "$PYTHON" "$ROOT/run.py" --phase synth "$@"
