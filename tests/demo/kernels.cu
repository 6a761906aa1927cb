/* SPDX-License-Identifier: MIT */
/*
 * The demo's kernels.  The demo carries them as PTX text (kernels.ptx), so it
 * needs no CUDA toolkit; after a change here run tests/demo/make-ptx.sh.
 *
 * Kernels that the CPU must repeat bit for bit spell out their rounding.
 */

extern "C" __global__ void vector_add(const float *a, const float *b, float *c, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i < n)
        c[i] = a[i] + b[i];
}

#define TILE 16

/* c = a * b for square matrices whose side is a multiple of the tile. */
extern "C" __global__ void matmul_tiled(const float *a, const float *b, float *c, int side)
{
    __shared__ float ta[TILE][TILE], tb[TILE][TILE];
    int x = threadIdx.x, y = threadIdx.y;
    int row = blockIdx.y * TILE + y, col = blockIdx.x * TILE + x;
    float sum = 0;

    for (int t = 0; t < side; t += TILE) {
        ta[y][x] = a[row * side + t + x];
        tb[y][x] = b[(t + y) * side + col];
        __syncthreads();
        for (int i = 0; i < TILE; i++)
            sum = __fadd_rn(sum, __fmul_rn(ta[y][i], tb[i][x]));
        __syncthreads();
    }
    c[row * side + col] = sum;
}

/* Shuffles within a warp, shared memory between warps, one atomic per block. */
extern "C" __global__ void reduce_sum(const int *in, int n, unsigned long long *total)
{
    __shared__ int parts[32];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, sum = 0;

    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        sum += in[i];
    for (int d = 16; d > 0; d >>= 1)
        sum += __shfl_down_sync(0xffffffffu, sum, d);
    if (lane == 0)
        parts[warp] = sum;
    __syncthreads();
    if (warp != 0)
        return;
    sum = lane < (int)(blockDim.x >> 5) ? parts[lane] : 0;
    for (int d = 16; d > 0; d >>= 1)
        sum += __shfl_down_sync(0xffffffffu, sum, d);
    if (lane == 0)
        atomicAdd(total, (unsigned long long)(long long)sum);
}

extern "C" __global__ void histogram(const unsigned char *data, int n, unsigned *bins)
{
    __shared__ unsigned local[256];

    for (int i = threadIdx.x; i < 256; i += blockDim.x)
        local[i] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        atomicAdd(&local[data[i]], 1u);
    __syncthreads();
    for (int i = threadIdx.x; i < 256; i += blockDim.x)
        atomicAdd(&bins[i], local[i]);
}

/* How many steps until |z| > 2, at most limit; (left, top) and step in the complex plane. */
extern "C" __global__ void mandelbrot(unsigned short *out, int width, int height, float left,
                                      float top, float step, int limit)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    float zr = 0, zi = 0;
    int i = 0;

    if (x >= width || y >= height)
        return;
    float cr = __fadd_rn(left, __fmul_rn((float)x, step));
    float ci = __fadd_rn(top, __fmul_rn((float)y, step));
    for (; i < limit; i++) {
        float rr = __fmul_rn(zr, zr), ii = __fmul_rn(zi, zi);

        if (__fadd_rn(rr, ii) > 4.0f)
            break;
        zi = __fadd_rn(__fmul_rn(__fmul_rn(2.0f, zr), zi), ci);
        zr = __fadd_rn(__fsub_rn(rr, ii), cr);
    }
    out[y * width + x] = (unsigned short)i;
}
