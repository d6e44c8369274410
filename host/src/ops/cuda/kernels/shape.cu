// Whole-sample transforms. Where a row is a sample: one block a sample.

// y = x / largest value of the sample (1 where that is 0); place of the largest.
static __device__ int sample_best(const real *x, wide n) {
    __shared__ int places[1024];
    int best = -1, t = threadIdx.x;
    for (wide i = t; i < n; i += blockDim.x)
        if (best < 0 || x[i] > x[best]) best = (int)i;
    places[t] = best;
    __syncthreads();
    for (int s = blockDim.x / 2; s > 0; s /= 2) {
        if (t < s && places[t + s] >= 0) {
            int a = places[t], b = places[t + s];
            if (a < 0 || x[b] > x[a] || (x[b] == x[a] && b < a)) places[t] = b;
        }
        __syncthreads();
    }
    best = places[0];
    __syncthreads();
    return best;
}

extern "C" __global__ void divide_by_max(int n, const real *x, real *y) {
    const real *row = x + (wide)blockIdx.x * n;
    real top = row[sample_best(row, n)];
    if (top == (real)0) top = (real)1;
    for (int i = threadIdx.x; i < n; i += blockDim.x) y[(wide)blockIdx.x * n + i] = row[i] / top;
}

// Through the maximum: dx_i = g_i / m, less sum(g x) / m^2 at the place of m.
extern "C" __global__ void divide_by_max_backward(int n, const real *x, const real *g, real *dx) {
    wide base = (wide)blockIdx.x * n;
    int best = sample_best(x + base, n);
    real top = x[base + best];
    double dot = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) dot += (double)g[base + i] * x[base + i];
    dot = block_sum(dot);
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        if (top == (real)0) dx[base + i] = g[base + i];
        else dx[base + i] = g[base + i] / top - (i == best ? (real)(dot / ((double)top * top)) : (real)0);
    }
}

// Every second pixel; `before` zero channels in front. x: [B, C, H, W],
// y: [B, K, P, Q]. grid: x over pixels of y, y over its planes.
extern "C" __global__ void subsample_pad(int B, int C, int H, int W, int K, int P, int Q, int before,
                                         const real *x, real *y) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < P * Q; i += gridDim.x * blockDim.x)
        for (int plane = blockIdx.y; plane < B * K; plane += gridDim.y) {
            int c = plane % K - before;
            real v = (real)0;
            if (c >= 0 && c < C) v = x[(((wide)(plane / K) * C + c) * H + i / Q * 2) * W + i % Q * 2];
            y[(wide)plane * P * Q + i] = v;
        }
}

// grid: x over pixels of dx, y over its planes.
extern "C" __global__ void subsample_pad_backward(int B, int C, int H, int W, int K, int P, int Q, int before,
                                                  const real *g, real *dx) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < H * W; i += gridDim.x * blockDim.x)
        for (int plane = blockIdx.y; plane < B * C; plane += gridDim.y) {
            int h = i / W, w = i % W, k = plane % C + before;
            real v = (real)0;
            if (h % 2 == 0 && w % 2 == 0)
                v = g[(((wide)(plane / C) * K + k) * P + h / 2) * Q + w / 2];
            dx[(wide)plane * H * W + i] = v;
        }
}

// Borders: the geometry of a 1x1 convolution. grid: x over pixels of y, y over planes.
extern "C" __global__ void pad(Conv g, const real *x, real *y) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < g.P * g.Q; i += gridDim.x * blockDim.x) {
        int h = source(i / g.Q - g.top, g.H, g.mode), w = source(i % g.Q - g.left, g.W, g.mode);
        for (int plane = blockIdx.y; plane < g.B * g.C; plane += gridDim.y) {
            real v = (real)0;
            if (h >= 0 && w >= 0) v = x[((wide)plane * g.H + h) * g.W + w];
            y[(wide)plane * g.P * g.Q + i] = v;
        }
    }
}

// The adjoint. grid: x over pixels of dx, y over planes.
extern "C" __global__ void pad_backward(Conv g, const real *dy, real *dx) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < g.H * g.W; i += gridDim.x * blockDim.x) {
        int h = i / g.W, w = i % g.W;
        for (int plane = blockIdx.y; plane < g.B * g.C; plane += gridDim.y) {
            real sum = (real)0;
            for (int p = reader(0, h, g.top, g.H, g.bottom, g.mode); p < g.P;
                 p = reader(p + 1, h, g.top, g.H, g.bottom, g.mode))
                for (int q = reader(0, w, g.left, g.W, g.right, g.mode); q < g.Q;
                     q = reader(q + 1, w, g.left, g.W, g.right, g.mode))
                    sum += dy[((wide)plane * g.P + p) * g.Q + q];
            dx[(wide)plane * g.H * g.W + i] = sum;
        }
    }
}
