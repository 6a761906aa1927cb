/* SPDX-License-Identifier: MIT */
/* Half precision: every one of the 65536 values to float and back, and arithmetic. */
#include "common.cuh"

#include <cmath>
#include <cuda_fp16.h>

__global__ void widen(float *out)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;

    out[i] = __half2float(__ushort_as_half((unsigned short)i));
}

__global__ void narrow(const float *in, unsigned short *out)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;

    out[i] = __half_as_ushort(__float2half_rn(in[i]));
}

__global__ void arithmetic(const __half *a, const __half *b, __half *sum, __half *product,
                           __half2 *pairs, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i >= n)
        return;
    sum[i] = __hadd(a[i], b[i]);
    product[i] = __hmul(a[i], b[i]);
    pairs[i] = __hfma2(__halves2half2(a[i], b[i]), __halves2half2(b[i], a[i]),
                       __float2half2_rn(1.0f));
}

static float widen_on_cpu(unsigned h)
{
    unsigned exponent = h >> 10 & 31, mantissa = h & 1023;
    float sign = h & 0x8000 ? -1.0f : 1.0f;

    if (exponent == 31)
        return mantissa ? NAN : sign * INFINITY;
    if (exponent == 0)
        return sign * ldexpf((float)mantissa, -24);
    return sign * ldexpf((float)(mantissa + 1024), (int)exponent - 25);
}

/* Round to nearest even into the 11 bits of a half, from a value computed exactly. */
static float round_to_half(double x)
{
    int e;

    if (x == 0)
        return (float)x;
    frexp(x, &e);
    int step = (e < -13 ? -13 : e) - 11;
    double rounded = ldexp(nearbyint(ldexp(x, -step)), step);
    return fabs(rounded) > 65504 ? copysignf(INFINITY, (float)x) : (float)rounded;
}

static void check_conversions(void)
{
    device_array<float> wide(65536);
    device_array<unsigned short> back(65536);

    widen<<<256, 256>>>(wide.ptr);
    LAUNCHED();
    narrow<<<256, 256>>>(wide.ptr, back.ptr);
    LAUNCHED();
    std::vector<float> w = wide.read();
    std::vector<unsigned short> b = back.read();
    for (unsigned i = 0; i < 65536; i++) {
        float want = widen_on_cpu(i);

        if (std::isnan(want)) {
            EXPECT(std::isnan(w[i]), "half %04x widens to %g", i, w[i]);
            continue;
        }
        EXPECT(memcmp(&w[i], &want, 4) == 0, "half %04x widens to %g, not %g", i, w[i], want);
        EXPECT(b[i] == i, "half %04x comes back as %04x", i, b[i]);
    }
}

static void check_arithmetic(int n)
{
    uint32_t seed = 17;
    std::vector<__half> a(n), b(n);

    for (int i = 0; i < n; i++) {
        a[i] = __float2half(random_unit(&seed) * 64 - 32);
        b[i] = __float2half(random_unit(&seed) * 2 - 1);
    }
    device_array<__half> da(a), db(b), dsum((size_t)n), dproduct((size_t)n);
    device_array<__half2> dpairs((size_t)n);
    arithmetic<<<(n + 63) / 64, 64>>>(da.ptr, db.ptr, dsum.ptr, dproduct.ptr, dpairs.ptr, n);
    LAUNCHED();
    std::vector<__half> sum = dsum.read(), product = dproduct.read();
    std::vector<__half2> pairs = dpairs.read();
    for (int i = 0; i < n; i++) {
        double x = __half2float(a[i]), y = __half2float(b[i]);

        EXPECT(__half2float(sum[i]) == round_to_half(x + y), "%g + %g is %g", x, y,
               __half2float(sum[i]));
        EXPECT(__half2float(product[i]) == round_to_half(x * y), "%g * %g is %g", x, y,
               __half2float(product[i]));
        float want = round_to_half(x * y + 1);
        EXPECT(__low2float(pairs[i]) == want && __high2float(pairs[i]) == want,
               "fma pair of %g and %g is %g and %g", x, y, __low2float(pairs[i]),
               __high2float(pairs[i]));
    }
}

int main(void)
{
    check_conversions();
    check_arithmetic(5000);
    return passed("65536 conversions each way, 5000 sums, products and fused pairs, exact");
}
