/* SPDX-License-Identifier: MIT */
/* Integer arithmetic of all widths, bit operations, saturation, 128-bit products. */
#include "common.cuh"

struct result {
    int div, mod, mulhi, shift, sad, bfe;
    unsigned udiv, popc, brev, clz, ffs, funnel, perm, dp4a;
    long long ldiv, lmulhi, lmod;
    unsigned long long udivl, product_high;
    short narrow;
    signed char tiny;
};

__global__ void compute(const int *a, const int *b, struct result *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;

    if (i >= n)
        return;
    int x = a[i], y = b[i];
    long long lx = (long long)x * 1000003 + y, ly = (long long)y * 65537 + (y < 0 ? -1 : 1);
    struct result r;
    r.div = x / y;
    r.mod = x % y;
    r.udiv = (unsigned)x / (unsigned)y;
    r.mulhi = __mulhi(x, y);
    r.shift = (x >> (y & 31)) + (x << (y & 15));
    r.sad = (int)__sad(x, y, 10u);
    r.bfe = (int)((unsigned)x << 7) >> 20;
    r.popc = __popc(x);
    r.brev = __brev(x);
    r.clz = __clz(x);
    r.ffs = __ffs(x);
    r.funnel = __funnelshift_l(x, y, 11);
    r.perm = __byte_perm(x, y, 0x5140);
    r.dp4a = (unsigned)__dp4a(x, y, 5);
    r.ldiv = lx / ly;
    r.lmod = lx % ly;
    r.lmulhi = __mul64hi(lx, ly);
    r.udivl = (unsigned long long)lx / (unsigned)y;
    r.product_high = __umul64hi((unsigned long long)lx, (unsigned long long)ly);
    r.narrow = (short)x;
    r.tiny = (signed char)(x * 3);
    out[i] = r;
}

static unsigned reverse_bits(unsigned x)
{
    unsigned r = 0;

    for (int b = 0; b < 32; b++)
        r |= (x >> b & 1) << (31 - b);
    return r;
}

static int dot4(int x, int y, int sum)
{
    for (int b = 0; b < 32; b += 8)
        sum += (int)(signed char)(x >> b) * (int)(signed char)(y >> b);
    return sum;
}

#define SAME(field, want) \
    EXPECT(r->field == (want), #field " of %d and %d is %lld, not %lld", x, y, \
           (long long)r->field, (long long)(want))

static void check(int x, int y, const struct result *r)
{
    long long lx = (long long)x * 1000003 + y, ly = (long long)y * 65537 + (y < 0 ? -1 : 1);
    unsigned ux = x, uy = y;
    __int128 product = (__int128)lx * ly;
    unsigned __int128 uproduct = (unsigned __int128)(unsigned long long)lx *
                                 (unsigned long long)ly;

    SAME(div, x / y);
    SAME(mod, x % y);
    SAME(udiv, ux / uy);
    SAME(mulhi, (int)((long long)x * y >> 32));
    SAME(shift, (int)((unsigned)(x >> (y & 31)) + (ux << (y & 15))));
    SAME(sad, (int)((x > y ? ux - uy : uy - ux) + 10u));
    SAME(bfe, (int)(ux << 7) >> 20);
    SAME(popc, (unsigned)__builtin_popcount(ux));
    SAME(brev, reverse_bits(ux));
    SAME(clz, (unsigned)(ux ? __builtin_clz(ux) : 32));
    SAME(ffs, (unsigned)__builtin_ffs(x));
    SAME(funnel, uy << 11 | ux >> 21);
    SAME(perm, (ux & 0xff) | (uy & 0xff) << 8 | (ux >> 8 & 0xff) << 16 | (uy >> 8 & 0xff) << 24);
    SAME(dp4a, (unsigned)dot4(x, y, 5));
    SAME(ldiv, lx / ly);
    SAME(lmod, lx % ly);
    SAME(lmulhi, (long long)(product >> 64));
    SAME(udivl, (unsigned long long)lx / uy);
    SAME(product_high, (unsigned long long)(uproduct >> 64));
    SAME(narrow, (short)x);
    SAME(tiny, (signed char)((unsigned)x * 3));
}

int main(void)
{
    const int n = 4096;
    static const int edges[] = {1, -1, 2, 3, 7, 255, 65536, 0x7fffffff, -0x7fffffff, 1 << 30};
    const int edge_count = sizeof(edges) / sizeof(edges[0]);
    uint32_t seed = 31;
    std::vector<int> a(n), b(n);

    for (int i = 0; i < n; i++) {
        a[i] = i < edge_count * edge_count ? edges[i % edge_count] : (int)next_random(&seed);
        b[i] = i < edge_count * edge_count ? edges[i / edge_count]
                                           : (int)(next_random(&seed) >> (i % 30)) | 1;
    }
    device_array<int> da(a), db(b);
    device_array<struct result> dout(n);
    compute<<<n / 128, 128>>>(da.ptr, db.ptr, dout.ptr, n);
    LAUNCHED();
    std::vector<struct result> out = dout.read();
    for (int i = 0; i < n; i++)
        check(a[i], b[i], &out[i]);
    return passed("21 operations on %d pairs, exact", n);
}
