#!/bin/sh
# Everything about CUDA that can be proved on a machine without a GPU. Called by
# .ci/run; takes no arguments. Each part says `ok`, or `skipped` and why.
#
#   1 types    clippy over all that is under cfg(feature = "cuda"), against the
#              real candle and cudarc, with ci/nvcc in place of nvcc
#   2 kernels  our .cu files through NVRTC for two GPU generations, and run on
#              the CPU against their slow references (host tests `ops::cuda`);
#              the .ptx that rules ship is what their .cu gives
#   3 start    with CUDA_CHECK_LINK=1 (minutes): the program is linked, needs no
#              CUDA library to start, says why the GPU is not used, trains on the
#              CPU with `auto`, and refuses `cuda:0` with exit code 2
set -eu
cd "$(dirname "$0")/.."

say() { echo "cuda-check: $*"; }

check_types() (
    unset REAL_NVCC CUDA_HOME
    # Nothing is linked, so it shares what the lints without the feature have checked; and the whole
    # workspace, because a part of it has other features.
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
    . ci/cuda-env
    cargo clippy --quiet --locked --workspace --all-targets --features biorule/cuda -- -D warnings
)

check_kernels() {
    if library=$(ci/cuda-wheels nvrtc 2>/tmp/cuda-wheels.$$); then
        export BIORULE_NVRTC=$library
        ci/plugin-ptx "$library" --check
    else
        say "NVRTC: skipped ($(tail -n 1 /tmp/cuda-wheels.$$))"
    fi
    rm -f /tmp/cuda-wheels.$$
    # The whole workspace, as it is built already: other features would build it all again.
    cargo test --quiet --locked --workspace --lib -- ops::cuda device:: doctor --nocapture
}

check_start() (
    unset REAL_NVCC CUDA_HOME
    # Plugins are the same for every program.
    cargo build --quiet --locked --workspace
    export BIORULE_PLUGIN_PATH=${CARGO_TARGET_DIR:-$PWD/target}/debug
    export CARGO_TARGET_DIR=$PWD/target/cuda-check
    . ci/cuda-env
    cargo build --quiet --locked -p biorule --features cuda
    program=$CARGO_TARGET_DIR/debug/biorule
    if ldd "$program" | grep -E 'libcu|libnvrtc'; then
        say "the program asks the loader for CUDA"
        exit 1
    fi
    ls -l "$program"
    "$program" doctor
    if command -v nvidia-smi >/dev/null; then
        say "this machine may have a GPU: what happens without one is not looked at"
        exit 0
    fi
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    "$program" train configs/quickstart.toml --device auto --run-dir "$folder/auto" --quiet
    grep -E '"(device|no_gpu|tf32)"' "$folder/auto/run.json"
    grep -q '"no_gpu": "' "$folder/auto/run.json"
    code=0
    "$program" train configs/quickstart.toml --device cuda:0 --run-dir "$folder/gpu" || code=$?
    if [ "$code" != 2 ]; then
        say "exit code $code for a GPU that is not there, not 2"
        exit 1
    fi
)

say "1 types"
check_types
say "1 types: ok"
say "2 kernels"
check_kernels
say "2 kernels: ok"
if [ "${CUDA_CHECK_LINK:-0}" = 1 ]; then
    say "3 start"
    check_start
    say "3 start: ok"
else
    say "3 start: skipped (set CUDA_CHECK_LINK=1 to build and start the program)"
fi
