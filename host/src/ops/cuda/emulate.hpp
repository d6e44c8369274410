// Lets a host compiler take a kernel file: a block's threads are coroutines that
// switch at barriers and shuffles. Slow and serial, for tests.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <tuple>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __shared__ static

struct Index {
    unsigned x, y, z;
};
static Index threadIdx, blockIdx, blockDim, gridDim;

struct Fiber {
    ucontext_t at;
    std::vector<char> stack;
    Index place;
    bool done;
};
static ucontext_t scheduler;
static std::vector<Fiber> fibers;
static unsigned running, count;

// Threads that wait for each other: the whole block, or one warp.
struct Meeting {
    unsigned here, turn;
};
static Meeting block_meeting, warp_meeting[32];

static void wait_for(Meeting &m, unsigned members) {
    unsigned turn = m.turn;
    if (++m.here == members) {
        m.here = 0;
        ++m.turn;
        return;
    }
    for (long tries = 0; m.turn == turn; ++tries) {
        if (tries > 1000000) {
            fprintf(stderr, "a barrier that not all threads reach\n");
            abort();
        }
        swapcontext(&fibers[running].at, &scheduler);
    }
}
static void __syncthreads() { wait_for(block_meeting, count); }
static void sync_warp() {
    unsigned warp = running / 32, left = count - warp * 32;
    wait_for(warp_meeting[warp], left < 32 ? left : 32);
}
template <class T> static T __shfl_down_sync(unsigned, T v, unsigned step) {
    static T held[1024];
    held[running] = v;
    sync_warp();
    T got = running % 32 + step < 32 && running + step < count ? held[running + step] : v;
    sync_warp();
    return got;
}
template <class T> static T atomicMax(T *at, T v) {
    T old = *at;
    if (v > old) *at = v;
    return old;
}
static int __float_as_int(float v) {
    int bits;
    memcpy(&bits, &v, 4);
    return bits;
}
static long long __double_as_longlong(double v) {
    long long bits;
    memcpy(&bits, &v, 8);
    return bits;
}

static void (*body)(void *);
static void *body_data;
static void enter() {
    body(body_data);
    fibers[running].done = true;
    swapcontext(&fibers[running].at, &scheduler);
}

static void run_block() {
    block_meeting = Meeting();
    memset(warp_meeting, 0, sizeof warp_meeting);
    for (unsigned t = 0; t < count; ++t) {
        Fiber &f = fibers[t];
        f.done = false;
        f.place = Index{t % blockDim.x, t / blockDim.x, 0};
        f.stack.resize(64 << 10);
        getcontext(&f.at);
        f.at.uc_stack.ss_sp = f.stack.data();
        f.at.uc_stack.ss_size = f.stack.size();
        f.at.uc_link = 0;
        makecontext(&f.at, enter, 0);
    }
    // Every other round backwards: a kernel that leans on the order of threads
    // where it needs a barrier gives wrong numbers.
    unsigned left = count;
    for (unsigned round = 0; left > 0; ++round)
        for (unsigned i = 0; i < count; ++i) {
            unsigned t = round % 2 ? count - 1 - i : i;
            if (fibers[t].done) continue;
            running = t;
            threadIdx = fibers[t].place;
            swapcontext(&scheduler, &fibers[t].at);
            if (fibers[t].done) --left;
        }
}

template <class... A> struct Call {
    void (*kernel)(A...);
    void **args;
    template <size_t... I> void spread(std::index_sequence<I...>) { kernel(*(A *)args[I]...); }
    static void run(void *self) { ((Call *)self)->spread(std::index_sequence_for<A...>()); }
};

template <class... A> static void emulate(void (*kernel)(A...), const unsigned *dims, void **args) {
    Call<A...> call{kernel, args};
    body = Call<A...>::run;
    body_data = &call;
    gridDim = Index{dims[0], dims[1], 1};
    blockDim = Index{dims[2], dims[3], 1};
    count = dims[2] * dims[3];
    if (fibers.size() < count) fibers.resize(count);
    for (unsigned y = 0; y < gridDim.y; ++y)
        for (unsigned x = 0; x < gridDim.x; ++x) {
            blockIdx = Index{x, y, 0};
            run_block();
        }
}
template <class... A> static unsigned arity(void (*)(A...)) { return sizeof...(A); }
// The kernels follow, then for each its entry, `emulate_NAME(dims, args)`, and `arity_NAME()`.
