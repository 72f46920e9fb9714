# Sourced by the other scripts: sets ROOT, the repository, and PYTHON. Paths on the command line stay relative to where
# the user is.
#
# With PYTHON set, that interpreter is used as it is. Otherwise a virtual environment `.venv` is made once, and the
# requirements file named in REQUIREMENTS is installed into it at the first need and when it changes.
set -euo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

find_python() {
    local candidate
    for candidate in python3.12 python3.13 python3.11 python3.10 python3 python; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "error: no Python 3.10 or newer with the venv module; install one, or name an interpreter in PYTHON" >&2
    return 1
}

prepare_environment() {
    local requirements=$1 venv="$ROOT/.venv" wanted have=""
    wanted=$(cat "$ROOT"/requirements*.txt | cksum)
    [ -f "$venv/$requirements.done" ] && have=$(cat "$venv/$requirements.done")
    if [ "$have" != "$wanted" ]; then
        echo "preparing .venv from $requirements (once)" >&2
        "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$(find_python)" -m venv --clear "$venv"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$ROOT/$requirements" >&2
        echo "$wanted" > "$venv/$requirements.done"
    fi
}

export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}" # threads of PyTorch and of others take turns on the same cores

if [ -z "${PYTHON:-}" ]; then
    if command -v flock >/dev/null; then
        exec 9>"$ROOT/.venv.lock"
        flock 9
    fi
    prepare_environment "${REQUIREMENTS:-requirements.txt}"
    if command -v flock >/dev/null; then exec 9>&-; fi
    PYTHON="$ROOT/.venv/bin/python"
fi
