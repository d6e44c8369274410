// Batch normalisation of [B, C, HW]. Statistics: one block for each channel.

extern "C" __global__ void norm_statistics(int B, int C, int HW, const real *x, real *mean, real *var) {
    int c = blockIdx.x;
    double count = (double)B * HW, sum = 0;
    for (int b = 0; b < B; ++b) {
        const real *plane = x + ((wide)b * C + c) * HW;
        for (int i = threadIdx.x; i < HW; i += blockDim.x) sum += plane[i];
    }
    double centre = block_sum(sum) / count, spread = 0;
    for (int b = 0; b < B; ++b) {
        const real *plane = x + ((wide)b * C + c) * HW;
        for (int i = threadIdx.x; i < HW; i += blockDim.x)
            spread += (plane[i] - centre) * (plane[i] - centre);
    }
    spread = block_sum(spread) / count;
    if (threadIdx.x == 0) {
        mean[c] = (real)centre;
        var[c] = (real)spread;
    }
}

// gain and shift may be null. grid: x over positions, y over planes.
extern "C" __global__ void norm_forward(int B, int C, int HW, double eps, const real *x, const real *mean,
                                        const real *var, const real *gain, const real *shift, real *y) {
    for (int plane = blockIdx.y; plane < B * C; plane += gridDim.y) {
        int c = plane % C;
        double scale = (gain ? (double)gain[c] : 1.0) / sqrt((double)var[c] + eps);
        real a = (real)scale, o = (real)((shift ? (double)shift[c] : 0.0) - mean[c] * scale);
        for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < HW; i += gridDim.x * blockDim.x)
            y[(wide)plane * HW + i] = x[(wide)plane * HW + i] * a + o;
    }
}

// shift[c] = sum of g, gain[c] = sum of g * normalised x. One block a channel.
extern "C" __global__ void norm_sums(int B, int C, int HW, double eps, const real *x, const real *g,
                                     const real *mean, const real *var, real *gain, real *shift) {
    int c = blockIdx.x;
    double inverse = 1.0 / sqrt((double)var[c] + eps), sum = 0, along = 0;
    real centre = mean[c];
    for (int b = 0; b < B; ++b) {
        wide base = ((wide)b * C + c) * HW;
        for (int i = threadIdx.x; i < HW; i += blockDim.x) {
            sum += g[base + i];
            along += (double)g[base + i] * (x[base + i] - centre);
        }
    }
    sum = block_sum(sum);
    along = block_sum(along);
    if (threadIdx.x == 0) {
        shift[c] = (real)sum;
        gain[c] = (real)(along * inverse);
    }
}

// dx = gain / sqrt(var + eps) * (g - (through ? mean of g + x^ * mean of g x^ : 0)).
extern "C" __global__ void norm_input(int B, int C, int HW, double eps, int through, const real *x,
                                      const real *g, const real *mean, const real *var, const real *gain,
                                      const real *along, const real *sum, real *dx) {
    double share = 1.0 / ((double)B * HW);
    for (int plane = blockIdx.y; plane < B * C; plane += gridDim.y) {
        int c = plane % C;
        double inverse = 1.0 / sqrt((double)var[c] + eps);
        real scale = (real)(inverse * (gain ? (double)gain[c] : 1.0)), centre = mean[c];
        real level = through ? (real)(sum[c] * share) : (real)0;
        real tilt = through ? (real)(along[c] * share * inverse) : (real)0;
        for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < HW; i += gridDim.x * blockDim.x) {
            wide at = (wide)plane * HW + i;
            dx[at] = scale * (g[at] - level - (x[at] - centre) * tilt);
        }
    }
}
