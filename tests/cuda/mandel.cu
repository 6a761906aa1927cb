/* SPDX-License-Identifier: MIT */
/*
 * The Mandelbrot set, iteration counts compared exactly: the arithmetic is
 * written with explicit rounding so that CPU and GPU do the same steps.
 */
#include "common.cuh"

#define LIMIT 64

__global__ void mandel(int *out, int width, int height)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;

    if (x >= width || y >= height)
        return;
    float cr = __fadd_rn(__fmul_rn((float)x, 3.5f / 256), -2.5f);
    float ci = __fadd_rn(__fmul_rn((float)y, 2.5f / 192), -1.25f);
    float zr = 0, zi = 0;
    int i = 0;

    for (; i < LIMIT; i++) {
        float rr = __fmul_rn(zr, zr), ii = __fmul_rn(zi, zi);

        if (__fadd_rn(rr, ii) > 4.0f)
            break;
        zi = __fadd_rn(__fmul_rn(__fmul_rn(2.0f, zr), zi), ci);
        zr = __fadd_rn(__fsub_rn(rr, ii), cr);
    }
    out[y * width + x] = i;
}

static int on_cpu(int x, int y)
{
    volatile float px = (float)x * (3.5f / 256), py = (float)y * (2.5f / 192);
    float cr = px - 2.5f, ci = py - 1.25f, zr = 0, zi = 0;
    int i = 0;

    for (; i < LIMIT; i++) {
        volatile float rr = zr * zr, ii = zi * zi, cross = 2.0f * zr * zi;

        if (rr + ii > 4.0f)
            break;
        zi = cross + ci;
        zr = rr - ii + cr;
    }
    return i;
}

int main(void)
{
    const int width = 256, height = 192;
    device_array<int> device((size_t)width * height);
    long inside = 0;

    mandel<<<dim3(width / 16, height / 8), dim3(16, 8)>>>(device.ptr, width, height);
    LAUNCHED();
    std::vector<int> got = device.read();
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            int want = on_cpu(x, y), have = got[y * width + x];

            EXPECT(have == want, "(%d,%d): %d iterations, not %d", x, y, have, want);
            inside += want == LIMIT;
        }
    return passed("%dx%d, %ld points inside, exact", width, height, inside);
}
