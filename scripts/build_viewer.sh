#!/usr/bin/env bash
# Bundles handmesh/viewer, the 3D view of the demo's page, into handmesh/data/viewer.js. Needs Node 20 and npm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../handmesh/viewer"

npm ci --no-audit --no-fund
npm run build
cp node_modules/three/LICENSE ../data/viewer.LICENSE
wc -c ../data/viewer.js
