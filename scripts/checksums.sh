#!/usr/bin/env bash
# Write the checksums of the networks in handmesh/data, after one of them has been made anew.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../handmesh/data"
sha256sum ./*.onnx | sed 's|\./||' >SHA256SUMS
