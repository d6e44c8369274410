// Optimiser steps in place, and dropout: one pass over flat tensors.

// The gradient an optimiser sees: clipped to +-clip (0 is off), plus decay * p.
static __device__ real seen(real g, real p, real decay, real clip) {
    if (clip > (real)0) g = g > clip ? clip : g < -clip ? -clip : g;
    return g + decay * p;
}

// velocity may be null (momentum 0).
extern "C" __global__ void sgd(wide n, real lr, real momentum, real decay, real shrink, real clip,
                               const real *g, real *p, real *velocity) {
    for (wide i = (wide)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (wide)gridDim.x * blockDim.x) {
        real v = seen(g[i], p[i], decay, clip);
        if (velocity) {
            v += momentum * velocity[i];
            velocity[i] = v;
        }
        p[i] = p[i] * shrink - lr * v;
    }
}

// lr is already divided by the first correction, root is 1 / sqrt of the second.
extern "C" __global__ void adam(wide n, real lr, real root, real b1, real b2, real c1, real c2, real eps,
                                real decay, real shrink, real clip, const real *g, real *p, real *first,
                                real *second) {
    for (wide i = (wide)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (wide)gridDim.x * blockDim.x) {
        real v = seen(g[i], p[i], decay, clip);
        real m = b1 * first[i] + c1 * v, s = b2 * second[i] + c2 * v * v;
        first[i] = m;
        second[i] = s;
        p[i] = p[i] * shrink - lr * m / ((real)sqrt(s) * root + eps);
    }
}

// Drops with probability threshold / 65536. The mask is SplitMix64 of the key and
// the element's index, four elements to a word: the CPU's mask, bit for bit.
extern "C" __global__ void dropout(wide n, unsigned long long key, unsigned threshold, real scale,
                                   const real *x, real *y) {
    for (wide i = (wide)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (wide)gridDim.x * blockDim.x) {
        unsigned long long z = key + ((unsigned long long)(i / 4) + 1) * 0x9E3779B97F4A7C15ull;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
        z ^= z >> 31;
        unsigned lane = (unsigned)(z >> (16 * (i % 4))) & 0xFFFFu;
        y[i] = lane < threshold ? (real)0 : x[i] * scale;
    }
}
