#!/usr/bin/env bash
# Lint and test. Arguments pass through to pytest:
#   ./scripts/test.sh -k registration        ./scripts/test.sh -m slow
REQUIREMENTS=requirements-dev.txt
source "$(dirname "${BASH_SOURCE[0]}")/python_env.sh"
cd "$ROOT"
if "$PYTHON" -m ruff --version >/dev/null 2>&1; then
    "$PYTHON" -m ruff check .
    "$PYTHON" -m ruff format --check .
else
    echo "ruff is not installed for $PYTHON: not linted" >&2
fi
PARALLEL=() # most of the time goes into starting programs, which takes one core
if "$PYTHON" -c "import xdist" 2>/dev/null; then PARALLEL=(-n 2 --dist worksteal); fi
exec "$PYTHON" -m pytest ${PARALLEL[@]+"${PARALLEL[@]}"} "$@"
