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
# BIORULE_DATA names the folder with CIFAR-10; without it the experiment is skipped.
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
export BIORULE_TEST_PLUGINS="$PWD/plugins"
export BIORULE_GOLDEN="$PWD/golden"
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

# Each rule as the second block of gpu-step.toml: two short runs from one seed.
steps() {
    bad=0
    rules=$(./biorule rules list --json | python3 -c '
import json, sys
found = json.load(sys.stdin)
print("\n".join(r["name"] for r in (found["rules"] if isinstance(found, dict) else found)))')
    for rule in $rules; do
        name=$(echo "$rule" | tr / -)
        for device in cpu cuda:0; do
            ./biorule train gpu-step.toml --seed 0 --device $device --set "blocks.second.rule=$rule" \
                --run-dir "$OUT/steps/$name-${device%%:*}" --quiet || bad=1
        done
        echo "== $rule"
        python3 gpu-compare.py "$OUT/steps/$name-cpu/checkpoints/last.safetensors" \
            "$OUT/steps/$name-cuda/checkpoints/last.safetensors" 1e-3 || bad=1
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
for golden in tests/golden_*; do
    [ -x "$golden" ] && part "$(basename "$golden")" 60 "$golden" --nocapture --test-threads 1
done
part steps 90 sh "$0" steps

# From here on speed counts: TF32 is what each run's own switch says.
unset NVIDIA_TF32_OVERRIDE
part throughput 100 ./biorule bench step --device cuda:0 --json
part throughput-tf32 60 ./biorule bench step --device cuda:0 --set tf32=true --json
experiment=configs/reproduce/softhebb/cifar10-3.toml
if [ -n "${BIORULE_DATA:-}" ]; then
    part experiment 120 ./biorule train "$experiment" --seed 0 --device cuda:0 \
        --run-dir "$OUT/experiment"
else
    skip experiment "BIORULE_DATA names no folder with CIFAR-10"
fi
nvidia-smi --query-gpu=name,driver_version,memory.used,clocks.sm --format=csv >>"$summary" 2>&1
exit $failed
