// Batches from a dataset that stays on the GPU as bytes: gather, shift, mirror and
// standardise in one pass.

// data: [count, C, H, W] bytes; picks: [B, 4] = image, row shift, column shift,
// mirror; y: [B, C, P, Q]. Pixel (p, q) reads (p + row, q + column); outside the
// image it reads `border`. value = byte * scale[c] + offset[c].
// grid: x over pixels, y over planes.
extern "C" __global__ void gather_images(int B, int C, int H, int W, int P, int Q, int border,
                                         const unsigned char *data, const int *picks, const real *scale,
                                         const real *offset, real *y) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < P * Q; i += gridDim.x * blockDim.x)
        for (int plane = blockIdx.y; plane < B * C; plane += gridDim.y) {
            int c = plane % C;
            const int *pick = picks + plane / C * 4;
            int q = pick[3] ? Q - 1 - i % Q : i % Q;
            int h = i / Q + pick[1], w = q + pick[2];
            int byte = border;
            if (h >= 0 && h < H && w >= 0 && w < W)
                byte = data[(((wide)pick[0] * C + c) * H + h) * W + w];
            y[(wide)plane * P * Q + i] = (real)byte * scale[c] + offset[c];
        }
}
