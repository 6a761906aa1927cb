/* SPDX-License-Identifier: MIT */
/* C = A * B with tiles in shared memory, on sizes that do not fit the tile. */
#include "common.cuh"

#include <cmath>

#define TILE 16

__global__ void matmul(const float *a, const float *b, float *c, int m, int k, int n)
{
    __shared__ float ta[TILE][TILE], tb[TILE][TILE + 1];
    int row = blockIdx.y * TILE + threadIdx.y, col = blockIdx.x * TILE + threadIdx.x;
    float sum = 0;

    for (int t = 0; t < k; t += TILE) {
        int ka = t + threadIdx.x, kb = t + threadIdx.y;

        ta[threadIdx.y][threadIdx.x] = row < m && ka < k ? a[row * k + ka] : 0.0f;
        tb[threadIdx.y][threadIdx.x] = kb < k && col < n ? b[kb * n + col] : 0.0f;
        __syncthreads();
        for (int i = 0; i < TILE; i++)
            sum += ta[threadIdx.y][i] * tb[i][threadIdx.x];
        __syncthreads();
    }
    if (row < m && col < n)
        c[row * n + col] = sum;
}

static double check(int m, int k, int n)
{
    uint32_t seed = 5;
    std::vector<float> a(m * k), b(k * n);
    double worst = 0;

    for (float &v : a)
        v = random_unit(&seed) - 0.5f;
    for (float &v : b)
        v = random_unit(&seed) - 0.5f;
    device_array<float> da(a), db(b), dc((size_t)m * n);
    dim3 grid((n + TILE - 1) / TILE, (m + TILE - 1) / TILE);
    matmul<<<grid, dim3(TILE, TILE)>>>(da.ptr, db.ptr, dc.ptr, m, k, n);
    LAUNCHED();
    std::vector<float> c = dc.read();
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double want = 0;

            for (int x = 0; x < k; x++)
                want += (double)a[i * k + x] * b[x * n + j];
            worst = fmax(worst, fabs(want - c[i * n + j]));
        }
    /* k products below 0.25, each rounding step at most half an ulp of the sum */
    EXPECT(worst < 1e-6 * k, "%dx%dx%d: off by %g", m, k, n, worst);
    return worst;
}

int main(void)
{
    double worst = fmax(check(1, 1, 1), fmax(check(33, 17, 50), check(128, 96, 64)));

    return passed("3 shapes, largest error %.1e", worst);
}
