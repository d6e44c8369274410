// The competition between the channels of one group at one position, and the sums
// that a Hebbian update needs, in one pass over u. Blocks as in channels.cu: 32
// positions, ROWS shares of the channels; one warp is one share.
#define ROWS 8

// In the order of `Rivalry`.
enum { SOFT = 0, SOFT_KROTOV = 1, HARD = 2, HARD_KROTOV = 3 };

// The largest (value, smallest channel on ties) over the rows of a block.
static __device__ void row_best(real *value, int *channel) {
    __shared__ real values[ROWS][32];
    __shared__ int channels[ROWS][32];
    values[threadIdx.y][threadIdx.x] = *value;
    channels[threadIdx.y][threadIdx.x] = *channel;
    __syncthreads();
    for (int r = 0; r < ROWS; ++r) {
        real v = values[r][threadIdx.x];
        int c = channels[r][threadIdx.x];
        if (c < 0) continue;
        if (*channel < 0 || v > *value || (v == *value && c < *channel)) {
            *value = v;
            *channel = c;
        }
    }
    __syncthreads();
}

static __device__ real row_total(real v) {
    __shared__ real part[ROWS][32];
    part[threadIdx.y][threadIdx.x] = v;
    __syncthreads();
    real total = (real)0;
    for (int r = 0; r < ROWS; ++r) total += part[r][threadIdx.x];
    __syncthreads();
    return total;
}

// Sum over the 32 positions of a warp; the first lane gets it.
static __device__ real lane_sum(real v) {
    for (int step = 16; step > 0; step /= 2) v += __shfl_down_sync(0xffffffffu, v, step);
    return v;
}

// u: [B, K, PQ] -> y: [K, N], N = B*PQ, and for each channel and tile of 32
// positions sums[0..3][k][tile]: of y*u, of y, and of the share a channel won (the
// softmax, or one for the winner) before any sign. `rank` and `delta` belong to
// HARD_KROTOV: the neuron of that rank gets -delta, added where `blend`, else in
// place of what it has. grid: x over tiles, y over groups.
extern "C" __global__ void compete(int N, int K, int PQ, int groups, int kind, real gain, int rank, real delta,
                                   int blend, const real *u, real *y, real *sums) {
    int n = blockIdx.x * 32 + threadIdx.x, inside = n < N;
    int per = K / groups, from = blockIdx.y * per, tiles = gridDim.x;
    wide base = inside ? (wide)(n / PQ) * K * PQ + n % PQ : 0;

    // The winner, then, for the ranked rule, the next ones in turn.
    real top = (real)0, last = (real)0;
    int winner = -1, runner = -1;
    int rounds = kind == HARD_KROTOV ? (rank < per ? rank : per) : 1;
    for (int round = 0; round < rounds; ++round) {
        real best = (real)0;
        int at = -1;
        if (inside)
            for (int k = threadIdx.y; k < per; k += ROWS) {
                real v = u[base + (wide)(from + k) * PQ];
                int open = round == 0 || v < last || (v == last && k > runner);
                if (open && (at < 0 || v > best)) {
                    best = v;
                    at = k;
                }
            }
        row_best(&best, &at);
        if (round == 0) {
            top = best;
            winner = at;
        }
        last = best;
        runner = at;
    }

    real whole = (real)1;
    if (kind == SOFT || kind == SOFT_KROTOV) {
        real sum = (real)0;
        if (inside)
            for (int k = threadIdx.y; k < per; k += ROWS)
                sum += exp(gain * (u[base + (wide)(from + k) * PQ] - top));
        whole = row_total(sum);
    }

    // Every thread of a warp walks the same channels, also outside, because the
    // sums are taken across the warp.
    for (int k = threadIdx.y; k < per; k += ROWS) {
        real v = (real)0, share = (real)0, out = (real)0;
        if (inside) {
            v = u[base + (wide)(from + k) * PQ];
            if (kind == SOFT || kind == SOFT_KROTOV) share = exp(gain * (v - top)) / whole;
            else share = k == winner ? (real)1 : (real)0;
            out = share;
            if (kind == SOFT_KROTOV && k != winner) out = -share;
            if (kind == HARD_KROTOV && k == runner) out = blend ? out - delta : -delta;
            y[(wide)(from + k) * N + n] = out;
        }
        real yu = lane_sum(out * v), plain = lane_sum(out), won = lane_sum(share);
        if (threadIdx.x == 0) {
            wide at = (wide)(from + k) * tiles + blockIdx.x, plane = (wide)K * tiles;
            sums[at] = yu;
            sums[plane + at] = plain;
            sums[2 * plane + at] = won;
        }
    }
}

// totals[r] = sum of parts[r][0..n]. One block a row.
extern "C" __global__ void row_totals(int n, const real *parts, real *totals) {
    double sum = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) sum += parts[(wide)blockIdx.x * n + i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) totals[blockIdx.x] = (real)sum;
}
