/* SPDX-License-Identifier: MIT */
/* A row softmax, and single precision functions within their documented error. */
#include "common.cuh"

#include <cmath>

__global__ void softmax(const float *in, float *out, int width)
{
    extern __shared__ float row[];
    const float *src = in + blockIdx.x * width;
    float most = -INFINITY, sum = 0;

    for (int i = threadIdx.x; i < width; i += blockDim.x)
        row[i] = src[i];
    __syncthreads();
    for (int i = 0; i < width; i++)
        most = fmaxf(most, row[i]);
    for (int i = 0; i < width; i++)
        sum += expf(row[i] - most);
    for (int i = threadIdx.x; i < width; i += blockDim.x)
        out[blockIdx.x * width + i] = expf(row[i] - most) / sum;
}

enum { EXP, LOG, SIN, COS, TANH, SQRT, RSQRT, ERF, EXP2, LOG2, FUNCTIONS };

__global__ void functions(const float *in, float *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i >= n)
        return;
    float x = in[i];
    out[EXP * n + i] = expf(x);
    out[LOG * n + i] = logf(fabsf(x));
    out[SIN * n + i] = sinf(x);
    out[COS * n + i] = cosf(x);
    out[TANH * n + i] = tanhf(x);
    out[SQRT * n + i] = sqrtf(fabsf(x));
    out[RSQRT * n + i] = rsqrtf(fabsf(x));
    out[ERF * n + i] = erff(x);
    out[EXP2 * n + i] = exp2f(x);
    out[LOG2 * n + i] = log2f(fabsf(x));
}

static void check_softmax(int rows, int width)
{
    uint32_t seed = 11;
    std::vector<float> in(rows * width);

    for (float &v : in)
        v = random_unit(&seed) * 20 - 10;
    device_array<float> din(in), dout((size_t)rows * width);
    softmax<<<rows, 32, width * sizeof(float)>>>(din.ptr, dout.ptr, width);
    LAUNCHED();
    std::vector<float> got = dout.read();
    for (int r = 0; r < rows; r++) {
        double sum = 0;

        for (int i = 0; i < width; i++)
            sum += exp((double)in[r * width + i]);
        for (int i = 0; i < width; i++) {
            double want = exp((double)in[r * width + i]) / sum;

            EXPECT(fabs(got[r * width + i] - want) <= 1e-5 * want, "softmax (%d,%d): %g, not %g",
                   r, i, got[r * width + i], want);
        }
    }
}

/* The bounds are those of the CUDA C++ Programming Guide, in ulp, plus one. */
static void check_function(const float *in, const float *got, int n, double (*f)(double),
                           bool absolute, int bound, const char *name)
{
    for (int i = 0; i < n; i++) {
        float want = (float)f(absolute ? fabs((double)in[i]) : in[i]);

        EXPECT(ulp_distance(got[i], want) <= bound, "%s(%.9g) is %.9g, not %.9g", name, in[i],
               got[i], want);
    }
}

static double rsqrt_d(double x)
{
    return 1 / sqrt(x);
}

int main(void)
{
    const int n = 2048;
    uint32_t seed = 21;
    std::vector<float> in(n);

    check_softmax(7, 33);
    check_softmax(64, 100);
    for (float &v : in)
        v = (random_unit(&seed) - 0.5f) * 40;
    device_array<float> din(in), dout((size_t)FUNCTIONS * n);
    functions<<<n / 128, 128>>>(din.ptr, dout.ptr, n);
    LAUNCHED();
    std::vector<float> out = dout.read();
    const float *o = out.data();
    check_function(in.data(), o + EXP * n, n, exp, false, 2, "expf");
    check_function(in.data(), o + LOG * n, n, log, true, 2, "logf");
    check_function(in.data(), o + SIN * n, n, sin, false, 3, "sinf");
    check_function(in.data(), o + COS * n, n, cos, false, 3, "cosf");
    check_function(in.data(), o + TANH * n, n, tanh, false, 3, "tanhf");
    check_function(in.data(), o + SQRT * n, n, sqrt, true, 1, "sqrtf");
    check_function(in.data(), o + RSQRT * n, n, rsqrt_d, true, 3, "rsqrtf");
    check_function(in.data(), o + ERF * n, n, erf, false, 3, "erff");
    check_function(in.data(), o + EXP2 * n, n, exp2, false, 3, "exp2f");
    check_function(in.data(), o + LOG2 * n, n, log2, true, 2, "log2f");
    return passed("softmax and %d functions within their documented error", (int)FUNCTIONS);
}
