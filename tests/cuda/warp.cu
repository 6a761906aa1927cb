/* SPDX-License-Identifier: MIT */
/* Warp primitives: votes, matches, every shuffle, sub-masks, early exits. */
#include "common.cuh"

#define FULL 0xffffffffu

struct result {
    unsigned ballot, any, all, match, up, down, bfly, idx, odd_ballot, active, segment;
    double wide;
};

__global__ void primitives(const int *in, struct result *out)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x & 31, v = in[i];
    struct result r;

    r.ballot = __ballot_sync(FULL, v > 50);
    r.any = __any_sync(FULL, v == 99);
    r.all = __all_sync(FULL, v >= 0);
    r.match = __match_any_sync(FULL, v % 4);
    r.up = __shfl_up_sync(FULL, v, 3);
    r.down = __shfl_down_sync(FULL, v, 5);
    r.bfly = __shfl_xor_sync(FULL, v, 9);
    r.idx = __shfl_sync(FULL, v, v);
    r.segment = __shfl_sync(FULL, v, lane + 1, 8);
    r.wide = __shfl_xor_sync(FULL, v * 1.5, 1);
    r.odd_ballot = 0;
    r.active = 0;
    if (lane & 1) {
        r.odd_ballot = __ballot_sync(0xaaaaaaaau, v & 2);
        r.active = __activemask();
    }
    __syncwarp();
    out[i] = r;
}

/* Half of the warp is gone: the rest still synchronizes and counts. */
__global__ void after_exit(unsigned *out)
{
    if (threadIdx.x % 32 >= 16)
        return;
    out[threadIdx.x] = __popc(__ballot_sync(0xffffu, 1)) + 100 * __syncthreads_count(1);
}

static void check_lane(const int *w, int lane, const struct result *r)
{
    unsigned ballot = 0, any = 0, all = 1, match = 0, odd = 0;
    int v = w[lane];

    for (int j = 0; j < 32; j++) {
        ballot |= (unsigned)(w[j] > 50) << j;
        any |= w[j] == 99;
        all &= w[j] >= 0;
        match |= (unsigned)(w[j] % 4 == v % 4) << j;
        if (j & 1)
            odd |= (unsigned)((w[j] & 2) != 0) << j;
    }
    EXPECT(r->ballot == ballot, "lane %d: ballot %08x, not %08x", lane, r->ballot, ballot);
    EXPECT(r->any == any && r->all == all, "lane %d: any %u, all %u", lane, r->any, r->all);
    EXPECT(r->match == match, "lane %d: match %08x, not %08x", lane, r->match, match);
    EXPECT(r->up == (unsigned)w[lane < 3 ? lane : lane - 3], "lane %d: up", lane);
    EXPECT(r->down == (unsigned)w[lane > 26 ? lane : lane + 5], "lane %d: down", lane);
    EXPECT(r->bfly == (unsigned)w[lane ^ 9], "lane %d: butterfly", lane);
    EXPECT(r->idx == (unsigned)w[v & 31], "lane %d: index", lane);
    EXPECT(r->segment == (unsigned)w[(lane & 24) | ((lane + 1) & 7)], "lane %d: segment", lane);
    EXPECT(r->wide == w[lane ^ 1] * 1.5, "lane %d: 64 bit", lane);
    EXPECT(r->odd_ballot == (lane & 1 ? odd : 0), "lane %d: odd ballot %08x", lane, r->odd_ballot);
    EXPECT((r->active & 0x55555555u) == 0 && (!(lane & 1) || r->active >> lane & 1),
           "lane %d: active mask %08x", lane, r->active);
}

int main(void)
{
    const int n = 256;
    uint32_t seed = 8;
    std::vector<int> in(n);

    for (int &v : in)
        v = next_random(&seed) % 100;
    device_array<int> din(in);
    device_array<struct result> dout(n);
    device_array<unsigned> dexit(128);
    primitives<<<2, 128>>>(din.ptr, dout.ptr);
    LAUNCHED();
    RT(cudaMemset(dexit.ptr, 0, 128 * sizeof(unsigned)));
    after_exit<<<1, 128>>>(dexit.ptr);
    LAUNCHED();
    std::vector<struct result> out = dout.read();
    std::vector<unsigned> left = dexit.read();
    for (int i = 0; i < n; i++)
        check_lane(in.data() + i / 32 * 32, i % 32, &out[i]);
    for (int i = 0; i < 128; i++)
        EXPECT(left[i] == (i % 32 < 16 ? 16u + 6400u : 0u), "after exits: [%d] is %u", i, left[i]);
    return passed("votes, matches, shuffles, sub-masks, early exits");
}
