// The SoftHebb weight change: delta = correlation - q w, scaled by its largest
// magnitude in the group, times a rate that depends on the neuron's radius.
// Nothing of it is read back: the largest magnitude stays on the device.

// delta: [K, D]; peak: [groups], zero before. grid: x over D, y over K.
extern "C" __global__ void hebb_delta(int K, int D, int groups, const real *correlation, const real *q,
                                      const real *weight, real *delta, real *peak) {
    int k = blockIdx.y;
    real top = (real)0, factor = q[k];
    for (int d = blockIdx.x * blockDim.x + threadIdx.x; d < D; d += gridDim.x * blockDim.x) {
        wide at = (wide)k * D + d;
        real v = correlation[at] - factor * weight[at];
        delta[at] = v;
        real size = v < (real)0 ? -v : v;
        if (size > top) top = size;
    }
    top = block_max(top);
    if (threadIdx.x == 0) raise(peak + k / (K / groups), top);
}

// |w|^p.
static __device__ double power_of(real w, real p) {
    double size = w < (real)0 ? -(double)w : (double)w;
    return p == (real)2 ? size * size : pow(size, (double)p);
}

// out = (keep ? weight : 0) + rate * delta / (peak + 1e-30) for the first `train`
// neurons; rate = lr * (|R - 1| + 1e-10)^power where adaptive, else lr. Also the
// radius (p-norm) of weight + change and the rate used, both [K]. One block a neuron.
extern "C" __global__ void hebb_apply(int K, int D, int groups, int train, int keep, int adaptive, double lr,
                                      double power, real p, const real *weight, const real *delta,
                                      const real *peak, real *out, real *radius, real *rates) {
    int k = blockIdx.x;
    wide base = (wide)k * D;
    double sum = 0;
    for (int d = threadIdx.x; d < D; d += blockDim.x) sum += power_of(weight[base + d], p);
    double before = pow(block_sum(sum), 1.0 / (double)p);
    double away = before < 1.0 ? 1.0 - before : before - 1.0;
    double rate = adaptive ? lr * pow(away + 1e-10, power) : lr;
    if (k >= train) rate = 0;
    real step = (real)(rate / ((double)peak[k / (K / groups)] + 1e-30));
    sum = 0;
    for (int d = threadIdx.x; d < D; d += blockDim.x) {
        real change = rate == 0 ? (real)0 : step * delta[base + d];
        real fresh = weight[base + d] + change;
        out[base + d] = keep ? fresh : change;
        sum += power_of(fresh, p);
    }
    double after = pow(block_sum(sum), 1.0 / (double)p);
    if (threadIdx.x == 0) {
        radius[k] = (real)after;
        rates[k] = (real)rate;
    }
}
