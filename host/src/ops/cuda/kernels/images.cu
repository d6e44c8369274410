// Batches from a set that stays on the GPU: gather, shift, mirror and scale in
// one pass; rows of kept features.

// data: [count, C, H, W] bytes; picks: [B, 7] = image, row shift, column shift,
// mirror, top, left and side of a square that is 0 in the result; table: [C, 256], the value of each byte; y: [B, C, H, W]. Pixel (h, w)
// reads (h + row, w + column), a mirrored one w from the right. Outside the
// image it reads byte 0, or with mode REFLECT what a mirror at the edge
// pixel shows. grid: x over pixels, y over planes.
extern "C" __global__ void gather_images(int B, int C, int H, int W, int mode, const unsigned char *data,
                                         const int *picks, const real *table, real *y) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < H * W; i += gridDim.x * blockDim.x)
        for (int plane = blockIdx.y; plane < B * C; plane += gridDim.y) {
            int c = plane % C;
            const int *pick = picks + plane / C * 7;
            int column = pick[3] ? W - 1 - i % W : i % W;
            int h = source(i / W + pick[1], H, mode), w = source(column + pick[2], W, mode);
            int byte = 0;
            if (h >= 0 && w >= 0)
                byte = data[(((wide)pick[0] * C + c) * H + h) * W + w];
            int down = i / W - pick[4], right = i % W - pick[5];
            bool cut = down >= 0 && down < pick[6] && right >= 0 && right < pick[6];
            y[(wide)plane * H * W + i] = cut ? (real)0 : table[c * 256 + byte];
        }
}

// table: [count, width]; index: [n]; y: [n, width] = table[index].
// grid: x over columns, y over rows.
extern "C" __global__ void gather_rows(int n, int width, const unsigned *index, const real *table, real *y) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < width; i += gridDim.x * blockDim.x)
        for (int row = blockIdx.y; row < n; row += gridDim.y)
            y[(wide)row * width + i] = table[(wide)index[row] * width + i];
}
