/* SPDX-License-Identifier: MIT */
/* Integer, logical, bit and integer-comparison instructions against C. */
#include "ptx_harness.h"

#include <check.h>
#include <stdlib.h>

__extension__ typedef __int128 s128;
__extension__ typedef unsigned __int128 u128;

#define U(a, b, c) __attribute__((unused)) uint64_t a, __attribute__((unused)) uint64_t b, \
                   __attribute__((unused)) uint64_t c
#define F(name, expr) static uint64_t name(U(a, b, c)) { return (uint64_t)(expr); }
#define R(insn, sig, name) {insn, sig, name, 0}

static int64_t s16(uint64_t v) { return (int16_t)v; }
static int64_t s32(uint64_t v) { return (int32_t)v; }
static int64_t s64(uint64_t v) { return (int64_t)v; }

F(o_add, a + b)
F(o_sub, a - b)
F(o_mul, a * b)
F(o_mad, a * b + c)
F(o_neg, -a)
F(o_and, a & b)
F(o_or, a | b)
F(o_xor, a ^ b)
F(o_not, ~a)
F(o_id, a)
F(mulhi_s16, (s16(a) * s16(b)) >> 16)
F(mulhi_u16, ((a & 0xffff) * (b & 0xffff)) >> 16)
F(mulhi_s32, (s32(a) * s32(b)) >> 32)
F(mulhi_u32, (a * b) >> 32)
F(mulhi_s64, ((s128)s64(a) * s64(b)) >> 64)
F(mulhi_u64, ((u128)a * b) >> 64)
F(madhi_s32, ((s32(a) * s32(b)) >> 32) + (int64_t)c)
F(madhi_u64, (uint64_t)(((u128)a * b) >> 64) + c)
F(wide_s16, s16(a) * s16(b))
F(wide_s32, (uint64_t)s32(a) * (uint64_t)s32(b))
F(madwide_s32, (uint64_t)s32(a) * (uint64_t)s32(b) + c)
F(madwide_s16, s16(a) * s16(b) + s32(c))
F(shl16, (b & 0xffffffff) > 15 ? 0 : a << b)
F(shl32, (b & 0xffffffff) > 31 ? 0 : a << b)
F(shl64, (b & 0xffffffff) > 63 ? 0 : a << b)
F(shr_u16, (b & 0xffffffff) > 15 ? 0 : a >> b)
F(shr_u32, (b & 0xffffffff) > 31 ? 0 : a >> b)
F(shr_u64, (b & 0xffffffff) > 63 ? 0 : a >> b)
F(shr_s16, s16(a) >> ((b & 0xffffffff) > 15 ? 15 : b))
F(shr_s32, s32(a) >> ((b & 0xffffffff) > 31 ? 31 : b))
F(shr_s64, s64(a) >> ((b & 0xffffffff) > 63 ? 63 : b))
F(abs_s16, s16(a) < 0 ? -a : a)
F(abs_s32, s32(a) < 0 ? -a : a)
F(abs_s64, s64(a) < 0 ? -a : a)
#define MINMAX(t, cast)                                                                           \
    F(min_##t, cast(a) < cast(b) ? a : b)                                                         \
    F(max_##t, cast(a) > cast(b) ? a : b)
MINMAX(s16, s16)
MINMAX(s32, s32)
MINMAX(s64, s64)
MINMAX(u, (uint64_t))
/* Zero divisors give all ones and the dividend; the most negative one wraps. */
#define DIVREM(t, cast)                                                                           \
    F(div_##t, !cast(b) ? -1 : cast(b) == -1 ? (int64_t)-a : cast(a) / cast(b))                   \
    F(rem_##t, !cast(b) ? cast(a) : cast(b) == -1 ? 0 : cast(a) % cast(b))
DIVREM(s16, s16)
DIVREM(s32, s32)
DIVREM(s64, s64)
F(div_u, b ? a / b : UINT64_MAX)
F(rem_u, b ? a % b : a)

static uint64_t clamp32(int64_t v)
{
    return (uint64_t)(v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : v);
}
F(add_sat, clamp32(s32(a) + s32(b)))
F(sub_sat, clamp32(s32(a) - s32(b)))
static int64_t s24(uint64_t v) { return (int32_t)(v << 8) >> 8; }
F(mul24_s, s24(a) * s24(b))
F(mul24_u, (a & 0xffffff) * (b & 0xffffff))
F(mul24hi_s, (s24(a) * s24(b)) >> 16)
F(mad24_u, (a & 0xffffff) * (b & 0xffffff) + c)

static uint64_t lop3(uint64_t a, uint64_t b, uint64_t c, unsigned table)
{
    uint64_t r = 0;
    int i;

    for (i = 0; i < 32; i++) {
        unsigned k = (unsigned)((a >> i & 1) << 2 | (b >> i & 1) << 1 | (c >> i & 1));

        r |= (uint64_t)(table >> k & 1) << i;
    }
    return r;
}
F(lop_96, lop3(a, b, c, 0x96))
F(lop_e8, lop3(a, b, c, 0xe8))
F(lop_1b, lop3(a, b, c, 0x1b))

static uint64_t count(uint64_t a) { uint64_t n = 0; for (; a; a &= a - 1) n++; return n; }
static uint64_t lead(uint64_t a, int w) { int n = 0; while (n < w && !(a >> (w - 1 - n) & 1)) n++; return (uint64_t)n; }
static uint64_t rev(uint64_t a, int w) { uint64_t r = 0; int i; for (i = 0; i < w; i++) r |= (a >> i & 1) << (w - 1 - i); return r; }
F(popc, count(a))
F(clz32, lead(a, 32))
F(clz64, lead(a, 64))
F(brev32, rev(a, 32))
F(brev64, rev(a, 64))
F(cnot, a == 0)
static uint64_t find(uint64_t a, int w) { uint64_t n = lead(a, w); return n == (uint64_t)w ? 0xffffffff : (uint64_t)w - 1 - n; }
F(bfind_u32, find(a, 32))
F(bfind_s32, find((s32(a) < 0 ? ~a : a) & 0xffffffff, 32))
F(bfind_u64, find(a, 64))
F(bfind_s64, find(s64(a) < 0 ? ~a : a, 64))
F(bfind_shift, find(a, 32) == 0xffffffff ? 0xffffffff : 31 - find(a, 32))

/* Bit by bit, as the specification describes it. */
static uint64_t bfe(uint64_t a, uint64_t b, uint64_t c, int w, int is_signed)
{
    int pos = (int)(b & 0xff), len = (int)(c & 0xff), msb = w - 1, i, sbit;
    uint64_t d = 0;

    sbit = !is_signed || len == 0 ? 0 : (int)(a >> (pos + len - 1 < msb ? pos + len - 1 : msb) & 1);
    for (i = 0; i <= msb; i++)
        d |= (uint64_t)(i < len && pos + i <= msb ? (int)(a >> (pos + i) & 1) : sbit) << i;
    return d;
}
F(bfe_u32, bfe(a, b, c, 32, 0))
F(bfe_s32, bfe(a, b, c, 32, 1))
F(bfe_u64, bfe(a, b, c, 64, 0))
F(bfe_s64, bfe(a, b, c, 64, 1))
static uint64_t bfi(uint64_t a, uint64_t b, int pos, int len, int w)
{
    int i;

    for (i = 0; i < len && pos + i < w; i++)
        b = (b & ~(1ull << (pos + i))) | (a >> i & 1) << (pos + i);
    return b;
}
F(bfi_5_9, bfi(a, b, 5, 9, 32))
F(bfi_c, bfi(a, b, (int)(c & 0xff), 12, 32))
F(bfi64_c, bfi(a, b, (int)(c & 0xff), 40, 64))

static uint64_t prmt(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t v = (b << 32) | a, r = 0;
    int i;

    for (i = 0; i < 4; i++) {
        uint64_t s = c >> (4 * i) & 15, byte = v >> (8 * (s & 7)) & 0xff;

        r |= (s & 8 ? (byte & 0x80 ? 0xffull : 0) : byte) << (8 * i);
    }
    return r;
}
F(prmt_f4e, ((b << 32 | a) >> (8 * (c & 3))))
F(prmt_rc8, (a >> (8 * (c & 3)) & 0xff) * 0x01010101)
F(shf_l_wrap, (u128)(b << 32 | a) << (c & 31) >> 32)
F(shf_l_clamp, (uint64_t)((u128)(b << 32 | a) << (c > 32 ? 32 : c)) >> 32)
F(shf_r_wrap, (b << 32 | a) >> (c & 31))
F(shf_r_clamp, (b << 32 | a) >> (c > 32 ? 32 : c))
F(sad_s32, c + (uint64_t)(s32(a) < s32(b) ? s32(b) - s32(a) : s32(a) - s32(b)))
F(sad_u32, c + (a < b ? b - a : a - b))
F(sad_u64, c + (a < b ? b - a : a - b))
F(sad_s16, c + (uint64_t)(s16(a) < s16(b) ? s16(b) - s16(a) : s16(a) - s16(b)))
F(fns, (a >> 3 & 1) ? 3 : 0xffffffff)
static uint64_t nth(uint64_t a, int n)
{
    int i;

    for (i = 0; i < 32; i++)
        if ((a >> i & 1) && --n == 0)
            return (uint64_t)i;
    return 0xffffffff;
}
F(fns_4, nth(a, 4))
static uint64_t dp4(uint64_t a, uint64_t b, uint64_t c, int sa, int sb)
{
    int i;

    for (i = 0; i < 4; i++) {
        int64_t x = sa ? (int8_t)(a >> 8 * i) : (int64_t)(a >> 8 * i & 0xff);
        int64_t y = sb ? (int8_t)(b >> 8 * i) : (int64_t)(b >> 8 * i & 0xff);

        c += (uint64_t)(x * y);
    }
    return c;
}
F(dp4a_ss, dp4(a, b, c, 1, 1))
F(dp4a_uu, dp4(a, b, c, 0, 0))
F(dp4a_us, dp4(a, b, c, 0, 1))
F(dp2a_lo, c + (uint64_t)(s16(a) * (int8_t)b) + (uint64_t)(s16(a >> 16) * (int8_t)(b >> 8)))
F(dp2a_hi, c + (a & 0xffff) * (b >> 16 & 0xff) + (a >> 16 & 0xffff) * (b >> 24 & 0xff))
F(slct_s32, s32(c) >= 0 ? a : b)
F(slct_f32, ptx_f32(c) >= 0 ? a : b)
F(vadd2, ((a + b) & 0xffff) | ((((a >> 16) + (b >> 16)) & 0xffff) << 16))

static const struct ptx_row arith[] = {
    R("add.u16", "222", o_add), R("add.s32", "444", o_add), R("add.u64", "888", o_add),
    R("sub.s16", "222", o_sub), R("sub.u32", "444", o_sub), R("sub.s64", "888", o_sub),
    R("add.sat.s32", "444", add_sat), R("sub.sat.s32", "444", sub_sat),
    R("add.u16x2", "444", vadd2),
    R("mul.lo.s16", "222", o_mul), R("mul.lo.u32", "444", o_mul), R("mul.lo.s64", "888", o_mul),
    R("mul.hi.s16", "222", mulhi_s16), R("mul.hi.u16", "222", mulhi_u16),
    R("mul.hi.s32", "444", mulhi_s32), R("mul.hi.u32", "444", mulhi_u32),
    R("mul.hi.s64", "888", mulhi_s64), R("mul.hi.u64", "888", mulhi_u64),
    R("mul.wide.s16", "422", wide_s16), R("mul.wide.u16", "422", o_mul),
    R("mul.wide.s32", "844", wide_s32), R("mul.wide.u32", "844", o_mul),
    R("mad.lo.u16", "2222", o_mad), R("mad.lo.s32", "4444", o_mad), R("mad.lo.u64", "8888", o_mad),
    R("mad.hi.s32", "4444", madhi_s32), R("mad.hi.u64", "8888", madhi_u64),
    R("mad.wide.s32", "8448", madwide_s32), R("mad.wide.u32", "8448", o_mad),
    R("mad.wide.s16", "4224", madwide_s16),
    R("mul24.lo.s32", "444", mul24_s), R("mul24.lo.u32", "444", mul24_u),
    R("mul24.hi.s32", "444", mul24hi_s), R("mad24.lo.u32", "4444", mad24_u),
    R("div.s16", "222", div_s16), R("div.u16", "222", div_u), R("div.s32", "444", div_s32),
    R("div.u32", "444", div_u), R("div.s64", "888", div_s64), R("div.u64", "888", div_u),
    R("rem.s16", "222", rem_s16), R("rem.u16", "222", rem_u), R("rem.s32", "444", rem_s32),
    R("rem.u32", "444", rem_u), R("rem.s64", "888", rem_s64), R("rem.u64", "888", rem_u),
    R("neg.s16", "22", o_neg), R("neg.s32", "44", o_neg), R("neg.s64", "88", o_neg),
    R("abs.s16", "22", abs_s16), R("abs.s32", "44", abs_s32), R("abs.s64", "88", abs_s64),
    R("min.s16", "222", min_s16), R("min.u16", "222", min_u), R("min.s32", "444", min_s32),
    R("min.u32", "444", min_u), R("min.s64", "888", min_s64), R("min.u64", "888", min_u),
    R("max.s16", "222", max_s16), R("max.u16", "222", max_u), R("max.s32", "444", max_s32),
    R("max.u32", "444", max_u), R("max.s64", "888", max_s64), R("max.u64", "888", max_u),
    R("sad.s32", "4444", sad_s32), R("sad.u32", "4444", sad_u32), R("sad.u64", "8888", sad_u64),
    R("sad.s16", "2222", sad_s16),
    R("dp4a.s32.s32", "4444", dp4a_ss), R("dp4a.u32.u32", "4444", dp4a_uu),
    R("dp4a.u32.s32", "4444", dp4a_us), R("dp2a.lo.s32.s32", "4444", dp2a_lo),
    R("dp2a.hi.u32.u32", "4444", dp2a_hi),
};

static const struct ptx_row bits[] = {
    R("and.b16", "222", o_and), R("and.b32", "444", o_and), R("and.b64", "888", o_and),
    R("or.b16", "222", o_or), R("or.b32", "444", o_or), R("or.b64", "888", o_or),
    R("xor.b16", "222", o_xor), R("xor.b32", "444", o_xor), R("xor.b64", "888", o_xor),
    R("not.b16", "22", o_not), R("not.b32", "44", o_not), R("not.b64", "88", o_not),
    R("cnot.b32", "44", cnot), R("cnot.b64", "88", cnot), R("cnot.b16", "22", cnot),
    R("mov.b32", "44", o_id), R("mov.b64", "88", o_id), R("mov.u16", "22", o_id),
    R("shl.b16", "224", shl16), R("shl.b32", "444", shl32), R("shl.b64", "884", shl64),
    R("shr.u16", "224", shr_u16), R("shr.u32", "444", shr_u32), R("shr.b64", "884", shr_u64),
    R("shr.s16", "224", shr_s16), R("shr.s32", "444", shr_s32), R("shr.s64", "884", shr_s64),
    R("lop3.b32 $d, $a, $b, $c, 0x96;", "4444", lop_96),
    R("lop3.b32 $d, $a, $b, $c, 0xe8;", "4444", lop_e8),
    R("lop3.b32 $d, $a, $b, $c, 0x1b;", "4444", lop_1b),
    R("popc.b32", "44", popc), R("popc.b64", "48", popc), R("clz.b32", "44", clz32),
    R("clz.b64", "48", clz64), R("brev.b32", "44", brev32), R("brev.b64", "88", brev64),
    R("bfind.u32", "44", bfind_u32), R("bfind.s32", "44", bfind_s32),
    R("bfind.u64", "48", bfind_u64), R("bfind.s64", "48", bfind_s64),
    R("bfind.shiftamt.u32", "44", bfind_shift),
    R("bfe.u32", "4444", bfe_u32), R("bfe.s32", "4444", bfe_s32), R("bfe.u64", "8844", bfe_u64),
    R("bfe.s64", "8844", bfe_s64), R("bfi.b32 $d, $a, $b, 5, 9;", "444", bfi_5_9),
    R("bfi.b32 $d, $a, $b, $c, 12;", "4444", bfi_c),
    R("bfi.b64 $d, $a, $b, $c, 40;", "8884", bfi64_c),
    R("prmt.b32", "4444", prmt), R("prmt.b32.f4e", "4444", prmt_f4e),
    R("prmt.b32.rc8", "4444", prmt_rc8),
    R("shf.l.wrap.b32", "4444", shf_l_wrap), R("shf.l.clamp.b32", "4444", shf_l_clamp),
    R("shf.r.wrap.b32", "4444", shf_r_wrap), R("shf.r.clamp.b32", "4444", shf_r_clamp),
    R("fns.b32 $d, $a, 3, 0;", "44", fns), R("fns.b32 $d, $a, 0, 4;", "44", fns_4),
    R("slct.b32.s32", "4444", slct_s32), R("slct.u64.s32", "8884", slct_s32),
    R("slct.b32.f32", "444f", slct_f32),
};

/* -------------------------------------------------------------- comparisons */

#define CMP(t, cast)                                                                              \
    F(eq_##t, cast(a) == cast(b)) F(ne_##t, cast(a) != cast(b)) F(lt_##t, cast(a) < cast(b))      \
    F(le_##t, cast(a) <= cast(b)) F(gt_##t, cast(a) > cast(b)) F(ge_##t, cast(a) >= cast(b))
CMP(s16, s16)
CMP(s32, s32)
CMP(s64, s64)
CMP(u, (uint64_t))
F(lt_and, (s32(a) < s32(b)) && (c & 1))
F(lt_or_not, (s32(a) < s32(b)) || !(c & 1))
F(ge_xor, (s32(a) >= s32(b)) ^ (int)(c & 1))
F(set_lt, s32(a) < s32(b) ? 0xffffffff : 0)
F(set_f, s32(a) < s32(b) ? 0x3f800000 : 0)
F(second, !(s32(a) < s32(b)))
F(selp32, (c & 1) ? a : b)
#define CMPROWS(t, s, o)                                                                          \
    R("setp.eq." t, s, eq_##o), R("setp.ne." t, s, ne_##o), R("setp.lt." t, s, lt_##o),           \
        R("setp.le." t, s, le_##o), R("setp.gt." t, s, gt_##o), R("setp.ge." t, s, ge_##o)
#define WITH_C "{ .reg .pred t; .reg .b32 x; and.b32 x, $c, 1; setp.ne.u32 t, x, 0; "

static const struct ptx_row compare[] = {
    CMPROWS("s16", "p22", s16), CMPROWS("u16", "p22", u), CMPROWS("s32", "p44", s32),
    CMPROWS("u32", "p44", u), CMPROWS("s64", "p88", s64), CMPROWS("u64", "p88", u),
    R("setp.lo.u32", "p44", lt_u), R("setp.hs.u64", "p88", ge_u), R("setp.eq.b64", "p88", eq_u),
    R("set.lt.u32.s32", "444", set_lt), R("set.lt.f32.s32", "444", set_f),
};
/* These need more than one instruction, so they are not guarded as a whole. */
static const struct ptx_row combined[] = {
    R(WITH_C "@%p1 setp.lt.and.s32 $d, $a, $b, t; }", "p444", lt_and),
    R(WITH_C "@%p1 setp.lt.or.s32 $d, $a, $b, !t; }", "p444", lt_or_not),
    R(WITH_C "@%p1 setp.ge.xor.s32 $d, $a, $b, t; }", "p444", ge_xor),
    R("{ .reg .pred t; @%p1 setp.lt.s32 t|$d, $a, $b; }", "p44", second),
    R(WITH_C "@%p1 selp.b32 $d, $a, $b, t; }", "4444", selp32),
    R(WITH_C "@%p1 selp.b64 $d, $b, $a, !t; }", "8884", selp32),
};

/* ------------------------------------------------------- carries, conversions */

static uint64_t hi(u128 v) { return (uint64_t)(v >> 64); }
F(add96, hi((u128)a + b) + c)
F(sub96, c - (a < b))
F(mad_carry, ((a & 0xffffffff) * (b & 0xffffffff) + c) >> 32)

static const struct ptx_row carry[] = {
    R("{ .reg .b64 x; @%p1 add.cc.u64 x, $a, $b; @%p1 addc.u64 $d, $c, 0; }", "8888", add96),
    R("{ .reg .b64 x; @%p1 sub.cc.u64 x, $a, $b; @%p1 subc.u64 $d, $c, 0; }", "8888", sub96),
    R("{ .reg .b32 x; @%p1 mad.lo.cc.u32 x, $a, $b, $c; @%p1 madc.hi.u32 $d, $a, $b, 0; }", "4444",
      mad_carry),
};

F(c_s8, (int64_t)(int8_t)a)
F(c_u8, a & 0xff)
F(c_s16, s16(a))
F(c_u16, a & 0xffff)
F(c_s32, s32(a))
F(c_u32, a & 0xffffffff)
F(sat_s8, s32(a) > 127 ? 127 : s32(a) < -128 ? -128 : s32(a))
F(sat_u8, s32(a) > 255 ? 255 : s32(a) < 0 ? 0 : s32(a))
F(sat_u32_s64, s64(a) < 0 ? 0 : s64(a) > 0xffffffff ? 0xffffffff : s64(a))
F(pack, (a & 0xffffffff) | b << 32)
F(unpack, a >> 32)
F(pack4, (a & 0xffff) | (b & 0xffff) << 16 | (uint64_t)(c & 0xffff) << 32)

static const struct ptx_row convert[] = {
    R("cvt.s32.s8", "44", c_s8), R("cvt.s32.u8", "44", c_u8), R("cvt.u32.s16", "42", c_s16),
    R("cvt.u32.u16", "42", c_u16), R("cvt.s64.s32", "84", c_s32), R("cvt.u64.u32", "84", c_u32),
    R("cvt.u32.u64", "48", c_u32), R("cvt.u16.u32", "24", c_u16), R("cvt.s16.s8", "22", c_s8),
    R("cvt.s64.s8", "82", c_s8), R("cvt.u64.u8", "82", c_u8), R("cvt.s8.s32", "44", c_s8),
    R("cvt.u8.u64", "48", c_u8), R("cvt.u16.s64", "28", c_u16), R("cvt.s64.s16", "82", c_s16),
    R("cvt.sat.s8.s32", "44", sat_s8), R("cvt.sat.u8.s32", "44", sat_u8),
    R("cvt.sat.u32.s64", "48", sat_u32_s64), R("cvt.u64.s32", "84", c_s32),
    R("mov.b64 $d, {$a, $b};", "844", pack), R("mov.b64 {_, $d}, $a;", "48", unpack),
    R("{ .reg .b16 z; mov.b16 z, 0; @%p1 mov.b64 $d, {$a, $b, $c, z}; }", "8222", pack4),
};

/* --------------------------------------------------------------------- driver */

static struct ptx_test t;

static void setup(void) { ptx_test_init(&t, 1); }
static void teardown(void) { ptx_test_fini(&t); }

#define N(rows) rows, sizeof(rows) / sizeof(rows[0])
START_TEST(test_arith) { ptx_test_rows(&t, N(arith), 1); }
END_TEST
START_TEST(test_bits) { ptx_test_rows(&t, N(bits), 2); }
END_TEST
START_TEST(test_compare) { ptx_test_rows(&t, N(compare), 3); ptx_test_rows(&t, N(combined), 4); }
END_TEST
START_TEST(test_carry) { ptx_test_rows(&t, N(carry), 5); }
END_TEST
START_TEST(test_convert) { ptx_test_rows(&t, N(convert), 6); }
END_TEST

int main(void)
{
    Suite *s = suite_create("ptx integer instructions");
    TCase *c = tcase_create("oracle");
    SRunner *r;
    int failed;

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 120);
    tcase_add_test(c, test_arith);
    tcase_add_test(c, test_bits);
    tcase_add_test(c, test_compare);
    tcase_add_test(c, test_carry);
    tcase_add_test(c, test_convert);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
