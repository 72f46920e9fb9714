#!/usr/bin/env bash
# Measure this machine; docs/benchmark.md explains. Arguments pass through:
#   ./scripts/benchmark.sh --only 'registration|photo' --seconds 5
source "$(dirname "${BASH_SOURCE[0]}")/python_env.sh"
exec "$PYTHON" "$ROOT/scripts/benchmark.py" "$@"
