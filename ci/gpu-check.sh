#!/bin/sh
# One call, under ten minutes, on a machine with a GPU: run inside the folder
# that ci/gpu-bundle.sh made. Results go to $OUT (default ./gpu-results): a log
# for each part, summary.txt with one line each. Exit 1 if any part failed.
#
#   doctor      driver, libraries, GPU
#   kernels     every GPU kernel against its CPU reference, resident batches
#               against the loader's, on the device
#   steps       every rule: training steps on the CPU and on the GPU, weights compared
#   golden      all golden vectors on CUDA, TF32 off, tolerance 1e-3
#   peak        what cuBLAS reaches in large products here, through PyTorch
#   throughput  `biorule bench`: the SoftHebb layers and whole steps, beside PyTorch
#   experiment  the three-layer CIFAR-10 experiment end to end, beside PyTorch
#   kernel-times, nsys  where the time of that experiment goes
#
# BIORULE_DATA names the folder with CIFAR-10; without it the experiment is skipped.
# MINUTES (default 9.5) is the limit of the whole; what finds no time is skipped.
set -u
cd "$(dirname "$0")"
OUT=${OUT:-$PWD/gpu-results}
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
summary=$OUT/summary.txt
: >"$summary"
failed=0
over=$(($(date +%s) + $(awk "BEGIN { print int(60 * ${MINUTES:-9.5}) }")))

if [ -f bundle.tar.xz ] && [ ! -x biorule ]; then
    # Python's own xz: the machine may have none.
    python3 -c 'import tarfile; tarfile.open("bundle.tar.xz").extractall()' || exit 1
fi

# The libraries that come with this machine's PyTorch, then the system's.
wheels=$(python3 - 2>/dev/null <<'PY'
import glob, nvidia
print(":".join(sorted(d for p in nvidia.__path__ for d in glob.glob(p + "/*/lib"))))
PY
)
export BIORULE_CUDA_PATH="${wheels}${BIORULE_CUDA_PATH:+:$BIORULE_CUDA_PATH}"
export BIORULE_PLUGIN_PATH="$PWD/plugins"
export BIORULE_TEST_DEVICE=cuda:0
export BIORULE_TEST_PLUGINS="$PWD/plugins"
export BIORULE_GOLDEN="$PWD/golden"

say() { echo "$*" | tee -a "$summary"; }
skip() { say "$1: skipped ($2)"; }

# part NAME SECONDS COMMAND...: runs it with a limit, keeps its log, notes the result.
part() {
    name=$1 limit=$2
    shift 2
    start=$(date +%s)
    left=$((over - start))
    if [ "$left" -lt 5 ]; then
        skip "$name" "no time left"
        return
    fi
    if [ "$left" -lt "$limit" ]; then limit=$left; fi
    timeout --kill-after=5 "$limit" "$@" >"$OUT/$name.txt" 2>&1 </dev/null
    code=$?
    took=$(($(date +%s) - start))
    case $code in
    0) say "$name: ok, $took s" ;;
    124 | 137)
        say "$name: FAILED, over $limit s"
        failed=1
        ;;
    *)
        why=$(grep -m 1 -E '^error|panicked|FAILED' "$OUT/$name.txt" || tail -n 1 "$OUT/$name.txt")
        say "$name: FAILED with code $code, $took s: $why"
        failed=1
        ;;
    esac
}

# check PROGRAM NAME SECONDS FILTER...: a test program that the bundle carries, or skipped.
check() {
    program=tests/$1
    if [ -x "$program" ]; then
        name=$2 limit=$3
        shift 3
        part "$name" "$limit" "$program" "$@" --nocapture --test-threads 1
    else
        skip "$2" "the bundle has no $program"
    fi
}

if gpus=$(nvidia-smi -L 2>/dev/null); then say "$gpus"; else say "no GPU: nvidia-smi finds none"; fi
part doctor 30 ./biorule doctor

# cuBLAS must not use TF32 behind our back while numbers are compared.
export NVIDIA_TF32_OVERRIDE=0
check biorule kernels 90 ops::cuda data::resident
check gpu_steps steps 90
for project in softhebb krotov hebbian feedback; do
    check "golden_$project" "golden-$project" 60
done

# From here on speed counts: TF32 is what each run's own switch says.
unset NVIDIA_TF32_OVERRIDE
part peak 40 python3 gpu-peak.py
for what in kernels step; do
    part "throughput-$what" 90 ./biorule bench "$what" --device cuda:0 --no-memory \
        --out "$OUT/bench-$what.json"
done
part throughput-tf32 45 ./biorule bench step --device cuda:0 --no-memory --no-pytorch \
    --set tf32=true --out "$OUT/bench-step-tf32.json"

if [ -n "${BIORULE_DATA:-}" ]; then
    part experiment 120 ./biorule bench experiment --device cuda:0 --no-memory \
        --out "$OUT/bench-experiment.json"
    # Events between launches cost time of their own: a run of its own, and short.
    experiment=configs/reproduce/softhebb/cifar10-3.toml
    part kernel-times 60 env BIORULE_GPU_TIMES=1 ./biorule train "$experiment" --seed 0 \
        --device cuda:0 --set training.gradient.epochs=2 --run-dir "$OUT/kernel-times.run"
    if command -v nsys >/dev/null; then
        part nsys 90 nsys profile --trace=cuda --stats=true --force-overwrite=true \
            --output="$OUT/nsys" ./biorule train "$experiment" --seed 0 --device cuda:0 \
            --set training.gradient.epochs=1 --run-dir "$OUT/nsys.run"
    else
        skip nsys "not on this machine"
    fi
else
    skip experiment "BIORULE_DATA names no folder with CIFAR-10"
fi
nvidia-smi --query-gpu=name,driver_version,memory.used,clocks.sm --format=csv >>"$summary" 2>&1
exit $failed
