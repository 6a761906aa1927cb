/* SPDX-License-Identifier: MIT */
/* Atomic operations of every kind and width, contended by all threads. */
#include "common.cuh"

struct cells {
    int add, sub, min, max;
    unsigned inc, dec, all_or, all_and, all_xor, exchanged;
    unsigned long long add64, max64, cas64;
    float addf;
    double addd;
    unsigned locked, lock;
};

__global__ void contend(struct cells *c)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    atomicAdd(&c->add, i);
    atomicSub(&c->sub, i);
    atomicMin(&c->min, (i * 7919) % 10007 - 5000);
    atomicMax(&c->max, (i * 7919) % 10007 - 5000);
    atomicInc(&c->inc, 99);
    atomicDec(&c->dec, 99);
    atomicOr(&c->all_or, 1u << (i % 31));
    atomicAnd(&c->all_and, ~(1u << (i % 13)));
    atomicXor(&c->all_xor, (unsigned)i);
    atomicExch(&c->exchanged, (unsigned)i);
    atomicAdd(&c->add64, (unsigned long long)i << 20);
    atomicMax(&c->max64, (unsigned long long)i * 0x100000001ull);
    atomicAdd(&c->addf, 1.0f);
    atomicAdd(&c->addd, 0.5);
    unsigned long long seen = c->cas64, before;
    do {
        before = seen;
        seen = atomicCAS(&c->cas64, before, before + 3);
    } while (seen != before);
}

/* A lock taken by one thread of each block: increments must not be lost. */
__global__ void with_lock(struct cells *c)
{
    if (threadIdx.x == 0) {
        while (atomicCAS(&c->lock, 0u, 1u) != 0u) {
        }
        __threadfence();
        c->locked = c->locked + 1;
        __threadfence();
        atomicExch(&c->lock, 0u);
    }
}

#define SAME(field, want)                                                                       \
    EXPECT(got.field == (want), #field " is %.17g, not %.17g", (double)got.field, (double)(want))

int main(void)
{
    const int blocks = 8, threads = 128, n = blocks * threads;
    struct cells start = {}, got;
    int least = 5007, most = -5000;
    unsigned x = 0;

    start.min = 1 << 30;
    start.max = -(1 << 30);
    start.all_and = ~0u;
    device_array<struct cells> c(std::vector<struct cells>(1, start));
    contend<<<blocks, threads>>>(c.ptr);
    LAUNCHED();
    with_lock<<<40, 32>>>(c.ptr);
    LAUNCHED();
    got = c.read()[0];
    for (int i = 0; i < n; i++) {
        int v = (i * 7919) % 10007 - 5000;

        least = v < least ? v : least;
        most = v > most ? v : most;
        x ^= i;
    }
    SAME(add, n * (n - 1) / 2);
    SAME(sub, -(n * (n - 1) / 2));
    SAME(min, least);
    SAME(max, most);
    SAME(inc, (unsigned)(n % 100));
    SAME(dec, (unsigned)((100 - n % 100) % 100));
    SAME(all_or, 0x7fffffffu);
    SAME(all_and, ~0x1fffu);
    SAME(all_xor, x);
    EXPECT(got.exchanged < (unsigned)n, "exchanged is %u", got.exchanged);
    SAME(add64, (unsigned long long)n * (n - 1) / 2 << 20);
    SAME(max64, (unsigned long long)(n - 1) * 0x100000001ull);
    SAME(cas64, 3ull * n);
    SAME(addf, (float)n);
    SAME(addd, n * 0.5);
    SAME(locked, 40u);
    return passed("15 kinds over %d threads, and a spin lock", n);
}
