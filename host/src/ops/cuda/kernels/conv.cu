// Convolution as matrix products: images to columns and back, and the change of
// layout between [B, K, PQ] and [K, B*PQ]. N = images * P * Q of one chunk.

// columns[(c*R + r)*S + s][n] = padded input under tap (r, s) at output n.
// grid: x over n, y over rows.
extern "C" __global__ void im2col(Conv g, int first, int images, const real *x, real *columns) {
    int N = images * g.P * g.Q, rows = g.C * g.R * g.S;
    for (int n = blockIdx.x * blockDim.x + threadIdx.x; n < N; n += gridDim.x * blockDim.x) {
        int q = n % g.Q, p = n / g.Q % g.P, b = first + n / (g.P * g.Q);
        for (int row = blockIdx.y; row < rows; row += gridDim.y) {
            int s = row % g.S, r = row / g.S % g.R, c = row / (g.R * g.S);
            int h = source(p * g.step_h + r * g.gap_h - g.top, g.H, g.mode);
            int w = source(q * g.step_w + s * g.gap_w - g.left, g.W, g.mode);
            real v = (real)0;
            if (h >= 0 && w >= 0) v = x[(((wide)b * g.C + c) * g.H + h) * g.W + w];
            columns[(wide)row * N + n] = v;
        }
    }
}

// The adjoint: each input pixel gathers from every output and tap that read it,
// through the border too. grid: x over pixels, y over planes (image, channel).
extern "C" __global__ void col2im(Conv g, int first, int images, const real *columns, real *dx) {
    int N = images * g.P * g.Q;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < g.H * g.W; i += gridDim.x * blockDim.x) {
        int w = i % g.W, h = i / g.W;
        for (int plane = blockIdx.y; plane < images * g.C; plane += gridDim.y) {
            int c = plane % g.C, b = plane / g.C;
            int end_h = g.top + g.H + g.bottom, end_w = g.left + g.W + g.right;
            real sum = (real)0;
            for (int y = reader(0, h, g.top, g.H, g.bottom, g.mode); y < end_h;
                 y = reader(y + 1, h, g.top, g.H, g.bottom, g.mode))
                for (int z = reader(0, w, g.left, g.W, g.right, g.mode); z < end_w;
                     z = reader(z + 1, w, g.left, g.W, g.right, g.mode))
                    for (int r = 0; r < g.R; ++r) {
                        int up = y - r * g.gap_h;
                        if (up < 0 || up % g.step_h || up / g.step_h >= g.P) continue;
                        for (int s = 0; s < g.S; ++s) {
                            int over = z - s * g.gap_w;
                            if (over < 0 || over % g.step_w || over / g.step_w >= g.Q) continue;
                            wide row = ((wide)c * g.R + r) * g.S + s;
                            sum += columns[row * N + (b * g.P + up / g.step_h) * g.Q + over / g.step_w];
                        }
                    }
            dx[((wide)(first + b) * g.C + c) * g.H * g.W + i] = sum;
        }
    }
}

// to[k][n] = from[first + b][k][pq], n = b*PQ + pq. grid: x over n, y over k.
extern "C" __global__ void pack(int K, int PQ, int first, int images, const real *from, real *to) {
    int N = images * PQ;
    for (int n = blockIdx.x * blockDim.x + threadIdx.x; n < N; n += gridDim.x * blockDim.x)
        for (int k = blockIdx.y; k < K; k += gridDim.y)
            to[(wide)k * N + n] = from[((wide)(first + n / PQ) * K + k) * PQ + n % PQ];
}

// The inverse of pack.
extern "C" __global__ void unpack(int K, int PQ, int first, int images, const real *from, real *to) {
    int N = images * PQ;
    for (int n = blockIdx.x * blockDim.x + threadIdx.x; n < N; n += gridDim.x * blockDim.x)
        for (int k = blockIdx.y; k < K; k += gridDim.y)
            to[((wide)(first + n / PQ) * K + k) * PQ + n % PQ] = from[(wide)k * N + n];
}
