#!/usr/bin/env bash
# Measure this machine: the network, registration, loading and training beside a plain baseline, in one run. Table on the
# terminal, JSON in out/benchmark. benchmarks/README.md explains; arguments pass through:
#   ./scripts/benchmark.sh --only 'registration|loader' --seconds 5
source "$(dirname "${BASH_SOURCE[0]}")/python_env.sh"
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"
exec "$PYTHON" -m benchmarks "$@"
