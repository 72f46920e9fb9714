#!/usr/bin/env bash
# Build the page in web/ and serve it on this machine. Arguments pass through to `vite preview`:
#   ./scripts/web.sh                  http://localhost:4173
#   ./scripts/web.sh --port 8000
# web/dist is a static folder that any host can serve; docs/web.md has the headers that allow it threads.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../web"
command -v npm >/dev/null || { echo "error: npm is not installed; the page needs Node.js 20.19 or newer" >&2; exit 1; }
[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund
npm run build
exec npx vite preview "$@"
