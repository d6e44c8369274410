#!/bin/sh
# gpu-bundle.sh OUT: builds the CUDA program, the plugins and the test programs
# here, without a GPU, and puts all that ci/gpu-check.sh needs into OUT, a folder
# to carry to a machine with one (no Rust there). Needs nvcc: fetched by
# ci/cuda-wheels unless REAL_NVCC names one.
set -eu
cd "$(dirname "$0")/.."
out=${1:?usage: gpu-bundle.sh OUT}
mkdir -p "$out"
out=$(cd "$out" && pwd)

REAL_NVCC=${REAL_NVCC:-$(ci/cuda-wheels nvcc)}
export REAL_NVCC
. ci/cuda-env

cargo build --release --locked --features biorule/cuda
mkdir -p "$out/plugins" "$out/tests"
cp "$CARGO_TARGET_DIR/release/biorule" "$out/"
for plugin in "$CARGO_TARGET_DIR"/release/libbiorule_*.so; do cp "$plugin" "$out/plugins/"; done
# The test programs under the names of their targets.
cargo test --release --locked --no-run --workspace --features biorule/cuda --message-format json |
    python3 -c '
import json, shutil, sys
for line in sys.stdin:
    m = json.loads(line)
    if m.get("executable") and m.get("profile", {}).get("test"):
        shutil.copy(m["executable"], sys.argv[1] + "/" + m["target"]["name"])
' "$out/tests"
for folder in configs benches; do
    if [ -d "$folder" ]; then mkdir -p "$out/$folder" && cp -r "$folder/." "$out/$folder/"; fi
done
golden=${BIORULE_GOLDEN:-../shared/golden}
mkdir -p "$out/golden"
for folder in "$golden" tests/golden; do
    if [ -d "$folder" ]; then cp -r "$folder/." "$out/golden/"; fi
done
cp ci/gpu-check.sh ci/gpu-compare.py ci/gpu-step.toml "$out/"
du -sh "$out"
