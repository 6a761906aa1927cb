/* SPDX-License-Identifier: MIT */
/* Double precision: arithmetic exact, functions within two ulp, conversions. */
#include "common.cuh"

#include <cmath>

enum { DIV, SQRT, FMA, SIN, EXP, LOG, POW, FUNCTIONS };

__global__ void functions(const double *a, const double *b, double *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i >= n)
        return;
    out[DIV * n + i] = a[i] / b[i];
    out[SQRT * n + i] = sqrt(fabs(a[i]));
    out[FMA * n + i] = fma(a[i], b[i], a[i]);
    out[SIN * n + i] = sin(a[i]);
    out[EXP * n + i] = exp(a[i]);
    out[LOG * n + i] = log(fabs(a[i]));
    out[POW * n + i] = pow(fabs(a[i]), b[i]);
}

__global__ void convert(const double *a, long long *ll, float *f, unsigned *u, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i >= n)
        return;
    ll[i] = (long long)(a[i] * 1e9);
    f[i] = (float)a[i];
    u[i] = (unsigned)fabs(a[i]);
}

static double reference(int f, double a, double b)
{
    switch (f) {
    case DIV: return a / b;
    case SQRT: return sqrt(fabs(a));
    case FMA: return fma(a, b, a);
    case SIN: return sin(a);
    case EXP: return exp(a);
    case LOG: return log(fabs(a));
    default: return pow(fabs(a), b);
    }
}

static int64_t ulps(double a, double b)
{
    int64_t x, y;

    memcpy(&x, &a, 8);
    memcpy(&y, &b, 8);
    return llabs(x - y); /* same sign: the values are close */
}

static void check_functions(const std::vector<double> &a, const std::vector<double> &b,
                            const std::vector<double> &out)
{
    static const char *const names[] = {"div", "sqrt", "fma", "sin", "exp", "log", "pow"};
    static const int bounds[] = {0, 0, 0, 2, 2, 2, 3};
    int n = a.size();

    for (int f = 0; f < FUNCTIONS; f++)
        for (int i = 0; i < n; i++) {
            double want = reference(f, a[i], b[i]), got = out[f * n + i];

            EXPECT(ulps(got, want) <= bounds[f], "%s(%.17g, %.17g) is %.17g, not %.17g", names[f],
                   a[i], b[i], got, want);
        }
}

int main(void)
{
    const int n = 1024;
    uint32_t seed = 9;
    std::vector<double> a(n), b(n);

    for (int i = 0; i < n; i++) {
        a[i] = (next_random(&seed) / 4294967296.0 - 0.5) * 100;
        b[i] = next_random(&seed) / 4294967296.0 * 8 + 0.01;
    }
    device_array<double> da(a), db(b), dout((size_t)FUNCTIONS * n);
    device_array<long long> dll(n);
    device_array<float> df(n);
    device_array<unsigned> du(n);
    functions<<<n / 64, 64>>>(da.ptr, db.ptr, dout.ptr, n);
    LAUNCHED();
    convert<<<n / 64, 64>>>(da.ptr, dll.ptr, df.ptr, du.ptr, n);
    LAUNCHED();
    check_functions(a, b, dout.read());
    std::vector<long long> ll = dll.read();
    std::vector<float> f = df.read();
    std::vector<unsigned> u = du.read();
    for (int i = 0; i < n; i++)
        EXPECT(ll[i] == (long long)(a[i] * 1e9) && f[i] == (float)a[i] &&
                   u[i] == (unsigned)fabs(a[i]),
               "conversions of %.17g give %lld, %g, %u", a[i], ll[i], f[i], u[i]);
    return passed("%d functions and 3 conversions on %d values", (int)FUNCTIONS, n);
}
