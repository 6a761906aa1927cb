/* SPDX-License-Identifier: MIT */
/*
 * Cooperative groups: blocks, tiles of every size, coalesced groups, and a
 * whole grid that synchronizes (cooperative launch).
 */
#include "common.cuh"

#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>

namespace cg = cooperative_groups;

__global__ void tile_sums(const int *in, int *out8, int *out32, int *ranks)
{
    cg::thread_block block = cg::this_thread_block();
    cg::thread_block_tile<8> eight = cg::tiled_partition<8>(block);
    cg::thread_block_tile<32> warp = cg::tiled_partition<32>(block);
    int i = block.group_index().x * block.size() + block.thread_rank();
    int sum = in[i];

    for (int d = eight.size() / 2; d > 0; d /= 2)
        sum += eight.shfl_down(sum, d);
    if (eight.thread_rank() == 0)
        out8[i / 8] = sum;
    int all = cg::reduce(warp, in[i], cg::plus<int>());
    if (warp.thread_rank() == 0)
        out32[i / 32] = all;
    ranks[i] = eight.meta_group_rank() * 100 + eight.thread_rank();
}

/* Each odd-valued thread learns how many odd ones its warp has. */
__global__ void coalesced(const int *in, int *out)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    out[i] = -1;
    if (in[i] & 1) {
        cg::coalesced_group odd = cg::coalesced_threads();

        out[i] = odd.size() * 100 + odd.thread_rank();
    }
}

/* A prefix of neighbours: every step reads what all blocks wrote before. */
__global__ void grid_steps(int *a, int *b, int steps)
{
    cg::grid_group grid = cg::this_grid();
    int n = grid.size(), i = grid.thread_rank();

    for (int s = 0; s < steps; s++) {
        b[i] = a[i] + a[(i + 97) % n];
        grid.sync();
        a[i] = b[(i + n - 1) % n] & 0xffffff;
        grid.sync();
    }
}

static void check_tiles(void)
{
    const int n = 512;
    std::vector<int> in(n);

    for (int i = 0; i < n; i++)
        in[i] = i * i % 101;
    device_array<int> din(in), d8(n / 8), d32(n / 32), dranks(n), dodd(n);
    tile_sums<<<n / 128, 128>>>(din.ptr, d8.ptr, d32.ptr, dranks.ptr);
    LAUNCHED();
    coalesced<<<n / 128, 128>>>(din.ptr, dodd.ptr);
    LAUNCHED();
    std::vector<int> s8 = d8.read(), s32 = d32.read(), ranks = dranks.read(), odd = dodd.read();
    for (int w = 0; w < n; w += 32) {
        int sum = 0, odds = 0, rank = 0;

        for (int i = w; i < w + 32; i++) {
            sum += in[i];
            odds += in[i] & 1;
            EXPECT(ranks[i] == i % 128 / 8 * 100 + i % 8, "rank of %d is %d", i, ranks[i]);
        }
        EXPECT(s32[w / 32] == sum, "warp %d: sum %d, not %d", w / 32, s32[w / 32], sum);
        for (int i = w; i < w + 32; i++) {
            int want = in[i] & 1 ? odds * 100 + rank++ : -1;

            EXPECT(odd[i] == want, "coalesced: thread %d has %d, not %d", i, odd[i], want);
        }
    }
    for (int t = 0; t < n / 8; t++) {
        int sum = 0;

        for (int i = 0; i < 8; i++)
            sum += in[t * 8 + i];
        EXPECT(s8[t] == sum, "tile %d: sum %d, not %d", t, s8[t], sum);
    }
}

static void check_grid(int blocks, int threads)
{
    int n = blocks * threads, steps = 20;
    std::vector<int> a(n), b(n);

    for (int i = 0; i < n; i++)
        a[i] = i * 7 + 1;
    device_array<int> da(a), db((size_t)n);
    void *args[] = {&da.ptr, &db.ptr, &steps};
    RT(cudaLaunchCooperativeKernel((void *)grid_steps, dim3(blocks), dim3(threads), args, 0, 0));
    RT(cudaDeviceSynchronize());
    for (int s = 0; s < steps; s++) {
        for (int i = 0; i < n; i++)
            b[i] = a[i] + a[(i + 97) % n];
        for (int i = 0; i < n; i++)
            a[i] = b[(i + n - 1) % n] & 0xffffff;
    }
    std::vector<int> got = da.read();
    for (int i = 0; i < n; i++)
        EXPECT(got[i] == a[i], "grid: [%d] is %d, not %d", i, got[i], a[i]);
}

int main(void)
{
    int cooperative = 0, per_sm = 0, sms = 0;

    check_tiles();
    RT(cudaDeviceGetAttribute(&cooperative, cudaDevAttrCooperativeLaunch, 0));
    if (!cooperative)
        skip("tiles are right; the device has no cooperative launch");
    RT(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&per_sm, grid_steps, 64, 0));
    RT(cudaDeviceGetAttribute(&sms, cudaDevAttrMultiProcessorCount, 0));
    EXPECT(per_sm > 0 && sms > 0, "%d blocks on each of %d multiprocessors", per_sm, sms);
    int blocks = per_sm * sms < 8 ? per_sm * sms : 8;
    check_grid(blocks, 64);

    device_array<int> one(1);
    int steps = 1;
    void *args[] = {&one.ptr, &one.ptr, &steps};
    RT_IS(cudaErrorCooperativeLaunchTooLarge,
          cudaLaunchCooperativeKernel((void *)grid_steps, dim3(per_sm * sms + 1), dim3(64), args,
                                      0, 0));
    cudaGetLastError();
    return passed("tiles, coalesced groups, %d blocks synchronized", blocks);
}
