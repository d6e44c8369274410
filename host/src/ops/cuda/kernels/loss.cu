// Losses and their gradients. One block walks the rows in a fixed order; sums are
// [loss, right], double, and stay on the device. A label outside the classes gives
// a NaN loss (the host checks labels when it reads them).

static __device__ int best_class(const real *row, int O) {
    int best = 0;
    for (int k = 1; k < O; ++k)
        if (row[k] > row[best]) best = k;
    return best;
}

extern "C" __global__ void cross_entropy(int B, int O, const real *logits, const unsigned *labels, double *sums,
                                         real *grad) {
    double loss = 0, right = 0;
    for (int b = threadIdx.x; b < B; b += blockDim.x) {
        const real *row = logits + (wide)b * O;
        unsigned label = labels[b];
        int best = best_class(row, O);
        double top = row[best], sum = 0;
        for (int k = 0; k < O; ++k) sum += exp((double)row[k] - top);
        if (label < (unsigned)O) loss += top + log(sum) - row[label];
        else loss += log(-1.0);
        right += (unsigned)best == label ? 1.0 : 0.0;
        for (int k = 0; k < O; ++k) {
            double share = exp((double)row[k] - top) / sum - ((unsigned)k == label ? 1.0 : 0.0);
            grad[(wide)b * O + k] = (real)(share / B);
        }
    }
    loss = block_sum(loss);
    right = block_sum(right);
    if (threadIdx.x == 0) {
        sums[0] = loss;
        sums[1] = right;
    }
}

extern "C" __global__ void half_mse(int B, int O, const real *y, const real *target, double *sums, real *grad) {
    wide n = (wide)B * O;
    double loss = 0;
    for (wide i = threadIdx.x; i < n; i += blockDim.x) {
        double d = (double)y[i] - (double)target[i];
        loss += 0.5 * d * d;
        grad[i] = (real)(d / (double)n);
    }
    loss = block_sum(loss);
    if (threadIdx.x == 0) {
        sums[0] = loss / O;
        sums[1] = 0;
    }
}

extern "C" __global__ void count_right(int B, int O, const real *y, const unsigned *labels, double *sums) {
    double right = 0;
    for (int b = threadIdx.x; b < B; b += blockDim.x)
        right += (unsigned)best_class(y + (wide)b * O, O) == labels[b] ? 1.0 : 0.0;
    right = block_sum(right);
    if (threadIdx.x == 0) {
        sums[0] = 0;
        sums[1] = right;
    }
}
