#!/bin/sh
# gpu-bundle.sh OUT: builds the CUDA program, the plugins and the test programs
# here, without a GPU, and puts all that ci/gpu-check.sh needs into OUT, a folder
# to carry to a machine with one (no Rust there). Needs nvcc: fetched by
# ci/cuda-wheels unless REAL_NVCC names one. Programs, plugins and vectors travel
# in one bundle.tar.xz, where what the programs share counts once; gpu-check.sh
# unpacks it. Says the sizes, and fails over LIMIT MiB (default 64).
set -eu
cd "$(dirname "$0")/.."
out=${1:?usage: gpu-bundle.sh OUT}
packed="biorule plugins tests golden configs"
for name in $packed benches bundle.tar.xz; do rm -rf "${out:?}/$name"; done
mkdir -p "$out/plugins" "$out/tests" "$out/golden"
out=$(cd "$out" && pwd)

REAL_NVCC=${REAL_NVCC:-$(ci/cuda-wheels nvcc)}
export REAL_NVCC
. ci/cuda-env

# Line tables are for panics here; they are half of every file.
put() { "${STRIP:-strip}" --strip-unneeded -o "$2" "$1"; }

# Both with the whole workspace: a part of it has other features, and candle is built again.
cargo build --release --locked --workspace --features biorule/cuda
put "$CARGO_TARGET_DIR/release/biorule" "$out/biorule"
for plugin in "$CARGO_TARGET_DIR"/release/libbiorule_*.so; do
    put "$plugin" "$out/plugins/$(basename "$plugin")"
done

# The test programs that run on a device: the host's own, and those of tests/.
wanted="golden_softhebb golden_krotov golden_hebbian golden_feedback gpu_steps"
flags=
for name in $wanted; do flags="$flags --test $name"; done
# shellcheck disable=SC2086  # a list of flags
cargo test --release --locked --no-run --workspace --features biorule/cuda --lib $flags \
    --message-format json |
    python3 -c '
import json, sys
wanted = sys.argv[1].split()
for line in sys.stdin:
    m = json.loads(line)
    target = m.get("target", {})
    # The host library, and not the program of the same name.
    host = target.get("name") == "biorule" and "lib" in target["kind"]
    if m.get("executable") and m["profile"]["test"] and (host or target["name"] in wanted):
        print(m["executable"], target["name"])
' "$wanted" | while read -r program name; do put "$program" "$out/tests/$name"; done

for folder in configs benches; do
    if [ -d "$folder" ]; then mkdir -p "$out/$folder" && cp -r "$folder/." "$out/$folder/"; fi
done
# The small golden vectors, and those of the folder that BIORULE_GOLDEN names.
for folder in "${BIORULE_GOLDEN:-}" tests/golden; do
    if [ -n "$folder" ]; then cp -r "$folder/." "$out/golden/"; fi
done
cp ci/gpu-check.sh ci/gpu-peak.py "$out/"

if [ -d "$out/benches" ]; then packed="$packed benches"; fi
# shellcheck disable=SC2086  # a list of names
(cd "$out" && du -sk $packed && tar -cf bundle.tar $packed && xz -9 bundle.tar && rm -rf $packed)
ls -l "$out"
size=$(du -sk "$out" | awk '{ print int($1 / 1024) + 1 }')
echo "gpu-bundle: $size MiB in $out"
if [ "$size" -gt "${LIMIT:-64}" ]; then
    echo "gpu-bundle: more than ${LIMIT:-64} MiB" >&2
    exit 1
fi
