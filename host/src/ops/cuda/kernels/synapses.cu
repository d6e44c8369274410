// What a local rule does with the rows of a weight [K, D]: norms, the change less
// its decay with the largest magnitude of each row, and the scaled update.

// norms[k] = (sum |w|^p)^(1/p). One block a row.
extern "C" __global__ void row_norms(int D, double p, const real *w, real *norms) {
    const real *row = w + (wide)blockIdx.x * D;
    double sum = 0;
    for (int d = threadIdx.x; d < D; d += blockDim.x) {
        double size = row[d] < (real)0 ? -(double)row[d] : (double)row[d];
        sum += p == 2.0 ? size * size : pow(size, p);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) norms[blockIdx.x] = (real)(p == 2.0 ? sqrt(sum) : pow(sum, 1.0 / p));
}

// delta = c - q w, and the largest |delta| of each row; row_max is zero before.
// grid: x over D, y over K.
extern "C" __global__ void sub_rows(int K, int D, const real *c, const real *q, const real *w, real *delta,
                                    real *row_max) {
    for (int k = blockIdx.y; k < K; k += gridDim.y) {
        real top = (real)0, factor = q[k];
        for (int d = blockIdx.x * blockDim.x + threadIdx.x; d < D; d += gridDim.x * blockDim.x) {
            wide at = (wide)k * D + d;
            real v = c[at] - factor * w[at];
            delta[at] = v;
            real size = v < (real)0 ? -v : v;
            if (size > top) top = size;
        }
        top = block_max(top);
        if (threadIdx.x == 0) raise(row_max + k, top);
    }
}

// w += scale delta, row by row. grid: x over D, y over K.
extern "C" __global__ void add_rows(int K, int D, const real *delta, const real *scale, real *w) {
    for (int k = blockIdx.y; k < K; k += gridDim.y) {
        real factor = scale[k];
        for (int d = blockIdx.x * blockDim.x + threadIdx.x; d < D; d += gridDim.x * blockDim.x) {
            wide at = (wide)k * D + d;
            w[at] += factor * delta[at];
        }
    }
}
