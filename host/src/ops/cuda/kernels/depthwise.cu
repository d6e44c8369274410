// Convolutions in which every input channel is a group: K = multiplier * C.

// grid: x over output pixels, y over planes (image, output channel).
extern "C" __global__ void depthwise_forward(Conv g, const real *x, const real *weight, real *y) {
    int many = g.K / g.C;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < g.P * g.Q; i += gridDim.x * blockDim.x) {
        int q = i % g.Q, p = i / g.Q;
        for (int plane = blockIdx.y; plane < g.B * g.K; plane += gridDim.y) {
            int k = plane % g.K, b = plane / g.K;
            const real *from = x + ((wide)b * g.C + k / many) * g.H * g.W;
            const real *taps = weight + k * g.R * g.S;
            real sum = (real)0;
            for (int r = 0; r < g.R; ++r) {
                int h = source(p * g.step_h + r * g.gap_h - g.top, g.H, g.mode);
                if (h < 0) continue;
                for (int s = 0; s < g.S; ++s) {
                    int w = source(q * g.step_w + s * g.gap_w - g.left, g.W, g.mode);
                    if (w >= 0) sum += from[h * g.W + w] * taps[r * g.S + s];
                }
            }
            y[(wide)plane * g.P * g.Q + i] = sum;
        }
    }
}

// grid: x over input pixels, y over planes (image, input channel).
extern "C" __global__ void depthwise_input(Conv g, const real *dy, const real *weight, real *dx) {
    int many = g.K / g.C, end_h = g.top + g.H + g.bottom, end_w = g.left + g.W + g.right;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < g.H * g.W; i += gridDim.x * blockDim.x) {
        int w = i % g.W, h = i / g.W;
        for (int plane = blockIdx.y; plane < g.B * g.C; plane += gridDim.y) {
            int c = plane % g.C, b = plane / g.C;
            real sum = (real)0;
            for (int y = reader(0, h, g.top, g.H, g.bottom, g.mode); y < end_h;
                 y = reader(y + 1, h, g.top, g.H, g.bottom, g.mode))
                for (int z = reader(0, w, g.left, g.W, g.right, g.mode); z < end_w;
                     z = reader(z + 1, w, g.left, g.W, g.right, g.mode))
                    for (int tap = 0; tap < g.R * g.S; ++tap) {
                        int up = y - tap / g.S * g.gap_h, over = z - tap % g.S * g.gap_w;
                        if (up < 0 || up % g.step_h || up / g.step_h >= g.P) continue;
                        if (over < 0 || over % g.step_w || over / g.step_w >= g.Q) continue;
                        int at = up / g.step_h * g.Q + over / g.step_w;
                        for (int m = 0; m < many; ++m) {
                            int k = c * many + m;
                            sum += dy[((wide)b * g.K + k) * g.P * g.Q + at] * weight[k * g.R * g.S + tap];
                        }
                    }
            dx[(wide)plane * g.H * g.W + i] = sum;
        }
    }
}

// One block for each tap (x) and output channel (y).
extern "C" __global__ void depthwise_weight(Conv g, const real *x, const real *dy, real *dw) {
    int tap = blockIdx.x, r = tap / g.S, s = tap % g.S, PQ = g.P * g.Q;
    for (int k = blockIdx.y; k < g.K; k += gridDim.y) {
        int c = k / (g.K / g.C);
        real sum = (real)0;
        for (int n = threadIdx.x; n < g.B * PQ; n += blockDim.x) {
            int i = n % PQ, b = n / PQ;
            int h = source(i / g.Q * g.step_h + r * g.gap_h - g.top, g.H, g.mode);
            int w = source(i % g.Q * g.step_w + s * g.gap_w - g.left, g.W, g.mode);
            if (h < 0 || w < 0) continue;
            sum += x[(((wide)b * g.C + c) * g.H + h) * g.W + w] * dy[((wide)b * g.K + k) * PQ + i];
        }
        double total = block_sum(sum);
        if (threadIdx.x == 0) dw[(wide)k * g.R * g.S + tap] = (real)total;
    }
}
