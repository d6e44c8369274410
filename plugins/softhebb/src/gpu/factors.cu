// The competitions of this rule in one launch (f32). `factors.ptx` is made from
// this file by `ci/plugin-ptx`. 32 positions a block (x), their channels shared
// among 8 warps (y); u and y: [B, K, PQ], N = B * PQ. grid: x over positions, y
// over groups. kind: 0 soft, 1 soft-krotov, 2 hard, 3 hard-krotov.
#define WARPS 8

struct Best {
    float value;
    int unit;
};

// The largest value over the block's warps, the first unit on ties (-1: none).
static __device__ Best best_of(Best mine) {
    __shared__ float values[WARPS][32];
    __shared__ int units[WARPS][32];
    values[threadIdx.y][threadIdx.x] = mine.value;
    units[threadIdx.y][threadIdx.x] = mine.unit;
    __syncthreads();
    for (int r = 0; r < WARPS; ++r) {
        Best other = {values[r][threadIdx.x], units[r][threadIdx.x]};
        if (other.unit < 0) continue;
        if (mine.unit < 0 || other.value > mine.value || (other.value == mine.value && other.unit < mine.unit))
            mine = other;
    }
    __syncthreads();
    return mine;
}

static __device__ float sum_of(float v) {
    __shared__ float part[WARPS][32];
    part[threadIdx.y][threadIdx.x] = v;
    __syncthreads();
    float total = 0.0f;
    for (int r = 0; r < WARPS; ++r) total += part[r][threadIdx.x];
    __syncthreads();
    return total;
}

extern "C" __global__ void factors(const float *u, float *y, float gain, float delta, unsigned n, unsigned units,
                                   unsigned positions, unsigned groups, unsigned kind, unsigned rank,
                                   unsigned overwrite) {
    unsigned i = blockIdx.x * 32 + threadIdx.x;
    int inside = i < n, rivals = (int)(units / groups);
    size_t base = 0;
    if (inside)
        base = ((size_t)(i / positions) * units + (size_t)blockIdx.y * rivals) * positions + i % positions;

    // The winner; for the ranked kind, the next ones in turn.
    Best winner = {0.0f, -1}, last = {0.0f, -1};
    int rounds = kind == 3 ? ((int)rank < rivals ? (int)rank : rivals) : 1;
    for (int round = 0; round < rounds; ++round) {
        Best mine = {0.0f, -1};
        if (inside)
            for (int k = threadIdx.y; k < rivals; k += WARPS) {
                float v = u[base + (size_t)k * positions];
                int open = round == 0 || v < last.value || (v == last.value && k > last.unit);
                if (open && (mine.unit < 0 || v > mine.value)) {
                    mine.value = v;
                    mine.unit = k;
                }
            }
        last = best_of(mine);
        if (round == 0) winner = last;
    }

    float whole = 1.0f;
    if (kind < 2) {
        float sum = 0.0f;
        if (inside)
            for (int k = threadIdx.y; k < rivals; k += WARPS)
                sum += exp(gain * (u[base + (size_t)k * positions] - winner.value));
        whole = sum_of(sum);
    }
    if (!inside) return;
    for (int k = threadIdx.y; k < rivals; k += WARPS) {
        size_t at = base + (size_t)k * positions;
        float out = k == winner.unit ? 1.0f : 0.0f;
        if (kind < 2) {
            float share = exp(gain * (u[at] - winner.value)) / whole;
            out = kind == 1 && k != winner.unit ? -share : share;
        }
        if (kind == 3 && k == last.unit) out = overwrite ? -delta : out - delta;
        y[at] = out;
    }
}
