/* SPDX-License-Identifier: MIT */
/* The first CUDA program anybody writes: c = a + b over odd sizes. */
#include "common.cuh"

__global__ void add(const float *a, const float *b, float *c, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < n)
        c[i] = a[i] + b[i];
}

static void check_size(int n)
{
    uint32_t seed = 1 + n;
    std::vector<float> a(n), b(n);

    for (int i = 0; i < n; i++) {
        a[i] = random_unit(&seed) - 0.5f;
        b[i] = random_unit(&seed) * 1000.0f;
    }
    device_array<float> da(a), db(b), dc((size_t)n);
    add<<<(n + 255) / 256, 256>>>(da.ptr, db.ptr, dc.ptr, n);
    LAUNCHED();
    std::vector<float> c = dc.read();
    for (int i = 0; i < n; i++)
        EXPECT(c[i] == a[i] + b[i], "n=%d: c[%d] is %g, not %g", n, i, c[i], a[i] + b[i]);
}

int main(void)
{
    static const int sizes[] = {1, 31, 32, 33, 255, 256, 257, 50000, 262144};

    for (int n : sizes)
        check_size(n);
    return passed("%zu sizes up to %d floats, exact", sizeof(sizes) / sizeof(sizes[0]), 262144);
}
