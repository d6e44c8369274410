#!/usr/bin/env python3
"""Prints what cuBLAS reaches here in large matrix products, through PyTorch.

One line a kind: FP32 without TF32, and TF32; the best of five measurements of
ten products of 8192x8192 matrices, in TFLOP/s. The fraction of it that a layer
reaches is its own TFLOP/s, as `biorule bench step` prints them, over this.
"""
import sys

try:
    import torch
except ImportError as e:
    sys.exit(f"no PyTorch: {e}")
if not torch.cuda.is_available():
    sys.exit("PyTorch finds no GPU")

N, REPEATS = 8192, 10
a, b = (torch.randn(N, N, device="cuda") for _ in range(2))
for tf32 in (False, True):
    torch.backends.cuda.matmul.allow_tf32 = tf32
    best = float("inf")
    for _ in range(6):  # the first warms up
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(REPEATS):
            a @ b
        end.record()
        torch.cuda.synchronize()
        best = min(best, start.elapsed_time(end) / 1e3 / REPEATS)
    kind = "tf32" if tf32 else "fp32"
    print(f"{kind} {2 * N**3 / best / 1e12:.1f} TFLOP/s ({torch.cuda.get_device_name()})")
