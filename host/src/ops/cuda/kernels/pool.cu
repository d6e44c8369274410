// Pooling. grid: x over pixels of one plane, y over planes.

// Largest value of each window (padding is never it) and its place in the plane,
// the first on ties; NaN wins.
extern "C" __global__ void max_forward(Window g, const real *x, real *y, unsigned *place) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < g.P * g.Q; i += gridDim.x * blockDim.x) {
        int h0 = i / g.Q * g.step_h - g.top, w0 = i % g.Q * g.step_w - g.left;
        for (int plane = blockIdx.y; plane < g.planes; plane += gridDim.y) {
            const real *from = x + (wide)plane * g.H * g.W;
            int best = -1;
            for (int h = h0 < 0 ? 0 : h0; h < h0 + g.R && h < g.H; ++h)
                for (int w = w0 < 0 ? 0 : w0; w < w0 + g.S && w < g.W; ++w) {
                    real v = from[h * g.W + w];
                    if (best < 0 || v > from[best] || (v != v && from[best] == from[best]))
                        best = h * g.W + w;
                }
            y[(wide)plane * g.P * g.Q + i] = from[best];
            place[(wide)plane * g.P * g.Q + i] = (unsigned)best;
        }
    }
}

// First and last window along one axis that cover pixel i.
static __device__ int first_window(int i, int size, int step) {
    return i < size ? 0 : (i - size) / step + 1;
}
static __device__ int last_window(int i, int step, int count) {
    int last = i / step;
    return last < count ? last : count - 1;
}

// Each pixel gathers from the windows whose maximum it is.
extern "C" __global__ void max_backward(Window g, const real *dy, const unsigned *place, real *dx) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < g.H * g.W; i += gridDim.x * blockDim.x) {
        int h = i / g.W + g.top, w = i % g.W + g.left;
        for (int plane = blockIdx.y; plane < g.planes; plane += gridDim.y) {
            wide base = (wide)plane * g.P * g.Q;
            real sum = (real)0;
            for (int p = first_window(h, g.R, g.step_h); p <= last_window(h, g.step_h, g.P); ++p)
                for (int q = first_window(w, g.S, g.step_w); q <= last_window(w, g.step_w, g.Q); ++q)
                    if (place[base + p * g.Q + q] == (unsigned)i) sum += dy[base + p * g.Q + q];
            dx[(wide)plane * g.H * g.W + i] = sum;
        }
    }
}

// Pixels of the image in the window of output (p, q).
static __device__ int pixels_inside(Window g, int p, int q) {
    int h0 = p * g.step_h - g.top, w0 = q * g.step_w - g.left, h1 = h0 + g.R, w1 = w0 + g.S;
    int rows = (h1 < g.H ? h1 : g.H) - (h0 > 0 ? h0 : 0), columns = (w1 < g.W ? w1 : g.W) - (w0 > 0 ? w0 : 0);
    return rows * columns;
}

// Mean of the window: of all its pixels with the padding as zeros, or of those of the image.
extern "C" __global__ void avg_forward(Window g, int include_pad, const real *x, real *y) {
    real share = (real)1 / (real)(g.R * g.S);
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < g.P * g.Q; i += gridDim.x * blockDim.x) {
        int h0 = i / g.Q * g.step_h - g.top, w0 = i % g.Q * g.step_w - g.left;
        if (!include_pad) share = (real)1 / (real)pixels_inside(g, i / g.Q, i % g.Q);
        for (int plane = blockIdx.y; plane < g.planes; plane += gridDim.y) {
            const real *from = x + (wide)plane * g.H * g.W;
            real sum = (real)0;
            for (int h = h0 < 0 ? 0 : h0; h < h0 + g.R && h < g.H; ++h)
                for (int w = w0 < 0 ? 0 : w0; w < w0 + g.S && w < g.W; ++w) sum += from[h * g.W + w];
            y[(wide)plane * g.P * g.Q + i] = sum * share;
        }
    }
}

extern "C" __global__ void avg_backward(Window g, int include_pad, const real *dy, real *dx) {
    real share = (real)1 / (real)(g.R * g.S);
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < g.H * g.W; i += gridDim.x * blockDim.x) {
        int h = i / g.W + g.top, w = i % g.W + g.left;
        for (int plane = blockIdx.y; plane < g.planes; plane += gridDim.y) {
            const real *from = dy + (wide)plane * g.P * g.Q;
            real sum = (real)0;
            for (int p = first_window(h, g.R, g.step_h); p <= last_window(h, g.step_h, g.P); ++p)
                for (int q = first_window(w, g.S, g.step_w); q <= last_window(w, g.step_w, g.Q); ++q)
                    sum += include_pad ? from[p * g.Q + q] : from[p * g.Q + q] / (real)pixels_inside(g, p, q);
            dx[(wide)plane * g.H * g.W + i] = include_pad ? sum * share : sum;
        }
    }
}
