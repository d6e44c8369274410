// Batches from a set that stays on the GPU: gather, shift, mirror and scale in
// one pass; rows of kept features.

// data: [count, C, H, W] bytes; picks: [B, 4] = image, row shift, column shift,
// mirror; table: [C, 256], the value of each byte; y: [B, C, H, W]. Pixel (h, w)
// reads (h + row, w + column), a mirrored one w from the right. Outside the
// image it reads byte 0, or with mode REFLECT what a mirror at the edge
// pixel shows. grid: x over pixels, y over planes.
extern "C" __global__ void gather_images(int B, int C, int H, int W, int mode, const unsigned char *data,
                                         const int *picks, const real *table, real *y) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < H * W; i += gridDim.x * blockDim.x)
        for (int plane = blockIdx.y; plane < B * C; plane += gridDim.y) {
            int c = plane % C;
            const int *pick = picks + plane / C * 4;
            int column = pick[3] ? W - 1 - i % W : i % W;
            int h = source(i / W + pick[1], H, mode), w = source(column + pick[2], W, mode);
            int byte = 0;
            if (h >= 0 && w >= 0)
                byte = data[(((wide)pick[0] * C + c) * H + h) * W + w];
            y[(wide)plane * H * W + i] = table[c * 256 + byte];
        }
}

// table: [count, width]; index: [n]; y: [n, width] = table[index].
// grid: x over columns, y over rows.
extern "C" __global__ void gather_rows(int n, int width, const unsigned *index, const real *table, real *y) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < width; i += gridDim.x * blockDim.x)
        for (int row = blockIdx.y; row < n; row += gridDim.y)
            y[(wide)row * width + i] = table[(wide)index[row] * width + i];
}
