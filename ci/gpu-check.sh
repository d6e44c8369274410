#!/bin/sh
# One call, under ten minutes, on a machine with a GPU: run inside the folder
# that ci/gpu-bundle.sh made. Results go to $OUT (default ./gpu-results): a log
# for each part, summary.txt with one line each. Exit 1 if any part failed.
#
#   doctor      driver, libraries, GPU
#   kernels     every GPU kernel against its CPU reference, on the device
#   golden      all golden vectors on CUDA, TF32 off, tolerance 1e-3
#   steps       each rule: some training steps on the CPU and on the GPU, weights compared
#   throughput  kernels and steps, with the cuBLAS peak and PyTorch in the same run
#   experiment  the three-layer CIFAR-10 experiment, end to end
#
# CIFAR10 names the data folder; without it the experiment is skipped.
set -u
cd "$(dirname "$0")"
OUT=${OUT:-$PWD/gpu-results}
mkdir -p "$OUT"
summary=$OUT/summary.txt
: >"$summary"
failed=0

# The libraries that come with this machine's PyTorch, then the system's.
wheels=$(python3 - <<'PY' 2>/dev/null
import glob, nvidia
print(":".join(sorted(d for p in nvidia.__path__ for d in glob.glob(p + "/*/lib"))))
PY
)
export BIORULE_CUDA_PATH="${wheels}${BIORULE_CUDA_PATH:+:$BIORULE_CUDA_PATH}"
export BIORULE_PLUGIN_PATH="$PWD/plugins"
export BIORULE_TEST_DEVICE=cuda:0
# cuBLAS must not use TF32 behind our back while numbers are compared.
export NVIDIA_TF32_OVERRIDE=0

# part NAME SECONDS COMMAND...: runs it with a limit, keeps its log, notes the result.
part() {
    name=$1 limit=$2
    shift 2
    start=$(date +%s)
    timeout "$limit" "$@" >"$OUT/$name.txt" 2>&1
    code=$?
    took=$(($(date +%s) - start))
    case $code in
    0) echo "$name: ok, $took s" ;;
    124) echo "$name: FAILED, over $limit s" && failed=1 ;;
    *) echo "$name: FAILED with code $code, $took s: $(tail -n 1 "$OUT/$name.txt")" && failed=1 ;;
    esac | tee -a "$summary"
    # `failed` was set in the pipe's own shell.
    if [ $code -ne 0 ]; then failed=1; fi
}

skip() { echo "$1: skipped ($2)" | tee -a "$summary"; }

steps() {
    bad=0
    for config in configs/device/*.toml; do
        name=$(basename "$config" .toml)
        for device in cpu cuda:0; do
            run=$OUT/steps/$name-${device%%:*}
            ./biorule train "$config" --run-dir "$run" --set device="$device" --set tf32=false || bad=1
        done
        echo "== $name"
        python3 gpu-compare.py "$OUT/steps/$name-cpu/model.safetensors" \
            "$OUT/steps/$name-cuda/model.safetensors" 1e-3 || bad=1
    done
    return $bad
}

if [ "${1:-}" = steps ]; then
    steps
    exit $?
fi

nvidia-smi -L 2>&1 | tee -a "$summary"
part doctor 30 ./biorule doctor
part kernels 90 ./tests/biorule ops::cuda --nocapture --test-threads 1
if [ -x tests/golden ]; then
    part golden 90 ./tests/golden --nocapture --test-threads 1
else
    skip golden "no test program \`golden\` in this bundle"
fi
if ls configs/device/*.toml >/dev/null 2>&1; then
    part steps 90 sh "$0" steps
else
    skip steps "no configs/device/*.toml in this bundle"
fi

# From here on speed counts: TF32 is what each run's own switch says.
unset NVIDIA_TF32_OVERRIDE
part throughput 100 ./biorule bench step --device cuda:0 --json
part throughput-tf32 60 ./biorule bench step --device cuda:0 --set tf32=true --json
experiment=${EXPERIMENT:-configs/reproduce/softhebb/cifar10.toml}
if [ -n "${CIFAR10:-}" ] && [ -f "$experiment" ]; then
    part experiment 120 ./biorule train "$experiment" --run-dir "$OUT/experiment" \
        --set device=cuda:0 --set data.path="$CIFAR10"
else
    skip experiment "set CIFAR10 to the data folder; config $experiment"
fi
nvidia-smi --query-gpu=name,driver_version,memory.used,clocks.sm --format=csv >>"$summary" 2>&1
exit $failed
