// What mixes the channels of one position: triangle and softmax. A block takes 32
// positions (x) and shares their channels among its rows (y), so that few
// positions with many channels still fill the GPU. n counts positions over the
// batch; element (n, k) is at (n / PQ * K + k) * PQ + n % PQ.
#define ROWS 8

// Sum over the rows of a block; every row gets it.
static __device__ real row_sum(real v) {
    __shared__ real part[ROWS][32];
    part[threadIdx.y][threadIdx.x] = v;
    __syncthreads();
    real total = (real)0;
    for (int r = 0; r < ROWS; ++r) total += part[r][threadIdx.x];
    __syncthreads();
    return total;
}

static __device__ real row_max(real v) {
    __shared__ real part[ROWS][32];
    part[threadIdx.y][threadIdx.x] = v;
    __syncthreads();
    real top = part[0][threadIdx.x];
    for (int r = 1; r < ROWS; ++r)
        if (part[r][threadIdx.x] > top) top = part[r][threadIdx.x];
    __syncthreads();
    return top;
}

// y = max(0, u - mean over channels)^power.
extern "C" __global__ void triangle(int N, int K, int PQ, real power, const real *u, real *y) {
    int n = blockIdx.x * 32 + threadIdx.x;
    int inside = n < N;
    wide base = inside ? (wide)(n / PQ) * K * PQ + n % PQ : 0;
    real sum = (real)0;
    if (inside)
        for (int k = threadIdx.y; k < K; k += ROWS) sum += u[base + (wide)k * PQ];
    real mean = row_sum(sum) / (real)K;
    if (inside)
        for (int k = threadIdx.y; k < K; k += ROWS) {
            wide at = base + (wide)k * PQ;
            y[at] = raised(u[at] - mean, power);
        }
}

// The mean carries no gradient.
extern "C" __global__ void triangle_backward(int N, int K, int PQ, real power, const real *u,
                                             const real *g, real *du) {
    int n = blockIdx.x * 32 + threadIdx.x;
    int inside = n < N;
    wide base = inside ? (wide)(n / PQ) * K * PQ + n % PQ : 0;
    real sum = (real)0;
    if (inside)
        for (int k = threadIdx.y; k < K; k += ROWS) sum += u[base + (wide)k * PQ];
    real mean = row_sum(sum) / (real)K;
    if (inside)
        for (int k = threadIdx.y; k < K; k += ROWS) {
            wide at = base + (wide)k * PQ;
            du[at] = slope(u[at] - mean, power) * g[at];
        }
}

// y = softmax over channels of gain * u.
extern "C" __global__ void softmax(int N, int K, int PQ, real gain, const real *u, real *y) {
    int n = blockIdx.x * 32 + threadIdx.x;
    int inside = n < N;
    wide base = inside ? (wide)(n / PQ) * K * PQ + n % PQ : 0;
    real top = (real)log(0.0);
    if (inside)
        for (int k = threadIdx.y; k < K; k += ROWS) {
            real v = gain * u[base + (wide)k * PQ];
            if (v > top) top = v;
        }
    top = row_max(top);
    real sum = (real)0;
    if (inside)
        for (int k = threadIdx.y; k < K; k += ROWS) {
            wide at = base + (wide)k * PQ;
            y[at] = exp(gain * u[at] - top);
            sum += y[at];
        }
    sum = row_sum(sum);
    if (inside)
        for (int k = threadIdx.y; k < K; k += ROWS) y[base + (wide)k * PQ] /= sum;
}

// du = gain * y * (g - sum over channels of g * y).
extern "C" __global__ void softmax_backward(int N, int K, int PQ, real gain, const real *y, const real *g,
                                            real *du) {
    int n = blockIdx.x * 32 + threadIdx.x;
    int inside = n < N;
    wide base = inside ? (wide)(n / PQ) * K * PQ + n % PQ : 0;
    real dot = (real)0;
    if (inside)
        for (int k = threadIdx.y; k < K; k += ROWS) dot += y[base + (wide)k * PQ] * g[base + (wide)k * PQ];
    dot = row_sum(dot);
    if (inside)
        for (int k = threadIdx.y; k < K; k += ROWS) {
            wide at = base + (wide)k * PQ;
            du[at] = gain * y[at] * (g[at] - dot);
        }
}

// Functions of one element, in the order of `Pointwise`.
enum { RELU = 0, REPU = 1, EXP = 2, TANH = 3, SIGMOID = 4 };

extern "C" __global__ void pointwise(wide n, int kind, real a, const real *u, real *y) {
    for (wide i = (wide)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (wide)gridDim.x * blockDim.x) {
        real v = u[i];
        if (kind == RELU) v = v < (real)0 ? (real)0 : v;
        else if (kind == REPU) v = raised(v, a);
        else if (kind == EXP) v = exp(a * v);
        else if (kind == TANH) v = tanh(a * v);
        else v = (real)1 / ((real)1 + exp(-a * v));
        y[i] = v;
    }
}

// `kept` is the input for REPU and the output for the others.
extern "C" __global__ void pointwise_backward(wide n, int kind, real a, const real *kept, const real *g,
                                              real *du) {
    for (wide i = (wide)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (wide)gridDim.x * blockDim.x) {
        real v = kept[i], d;
        if (kind == RELU) d = v > (real)0 ? (real)1 : (real)0;
        else if (kind == REPU) d = slope(v, a);
        else if (kind == EXP) d = a * v;
        else if (kind == TANH) d = a * ((real)1 - v * v);
        else d = a * v * ((real)1 - v);
        du[i] = d * g[i];
    }
}
