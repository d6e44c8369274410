// Put in front of every kernel file. `real` is float or double (REAL_IS_DOUBLE).
// The files use the part of CUDA C++ that tests emulate on a CPU: indices,
// __shared__, __syncthreads, __shfl_down_sync, atomicMax; nothing is included.
#ifdef __CUDACC_RTC__
#pragma nv_diag_suppress 177 /* no file uses every helper */
#endif
#ifdef REAL_IS_DOUBLE
typedef double real;
#else
typedef float real;
#endif
typedef long long wide;

// Padding modes, in the order of `PadMode`.
enum { ZEROS = 0, REFLECT = 1, REPLICATE = 2, CIRCULAR = 3 };

// Geometry of a convolution; the host fills it by position (`conv.rs`).
struct Conv {
    int B, C, H, W, K, P, Q, R, S;
    int step_h, step_w, gap_h, gap_w;
    int top, bottom, left, right;
    int groups, mode;
};

// Geometry of a pooling window.
struct Window {
    int planes, H, W, P, Q, R, S, step_h, step_w, top, left;
};

// The pixel of an axis of n that position i (from -pad) reads, or -1 for zero.
static __device__ int source(int i, int n, int mode) {
    if (i >= 0 && i < n) return i;
    if (mode == ZEROS) return -1;
    if (mode == REPLICATE) return i < 0 ? 0 : n - 1;
    if (mode == CIRCULAR) return i < 0 ? i + n : i - n;
    return i < 0 ? -i : 2 * (n - 1) - i;
}

// The first position of the padded axis, at or after i, that reads pixel
// `target`; before + n + after where there is none.
static __device__ int reader(int i, int target, int before, int n, int after, int mode) {
    int end = before + n + after, own = before + target;
    if (mode == ZEROS) return i <= own ? own : end;
    for (; i < before; ++i)
        if (source(i - before, n, mode) == target) return i;
    if (i <= own) return own;
    if (i < before + n) i = before + n;
    for (; i < end; ++i)
        if (source(i - before, n, mode) == target) return i;
    return end;
}

// Sum over the threads of a block (one-dimensional, a power of two). All get it.
static __device__ double block_sum(double v) {
    __shared__ double part[1024];
    int t = threadIdx.x;
    part[t] = v;
    __syncthreads();
    for (int s = blockDim.x / 2; s > 0; s /= 2) {
        if (t < s) part[t] += part[t + s];
        __syncthreads();
    }
    double total = part[0];
    __syncthreads();
    return total;
}

// Largest value over the threads of a block, as block_sum.
static __device__ real block_max(real v) {
    __shared__ real part[1024];
    int t = threadIdx.x;
    part[t] = v;
    __syncthreads();
    for (int s = blockDim.x / 2; s > 0; s /= 2) {
        if (t < s && part[t + s] > part[t]) part[t] = part[t + s];
        __syncthreads();
    }
    real top = part[0];
    __syncthreads();
    return top;
}

// Raises *at (not negative) to v (not negative); the bits of such numbers are
// ordered as the numbers are, so the result does not depend on the order.
static __device__ void raise(real *at, real v) {
#ifdef REAL_IS_DOUBLE
    atomicMax((unsigned long long *)at, (unsigned long long)__double_as_longlong(v));
#else
    atomicMax((int *)at, __float_as_int(v));
#endif
}

// max(0, c)^p and its derivative, which is 0 at and below 0 for every p.
static __device__ real raised(real c, real p) {
    if (c <= (real)0) return (real)0;
    return p == (real)1 ? c : (real)pow(c, p);
}
static __device__ real slope(real c, real p) {
    if (c <= (real)0) return (real)0;
    return p == (real)1 ? (real)1 : p * (real)pow(c, p - (real)1);
}
