/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic with directed rounding (.rz .rm .rp), and rcp/sqrt which share it.
 * The loops are separate functions called through a pointer while the rounding
 * mode is set, so the compiler cannot move arithmetic across the change.
 */
#include <fenv.h>
#include <math.h>

#include "alu_ops.h"
#include "half.h"

#include <string.h>

typedef void (*round_fn)(struct warp *w, const struct uop *u, uint32_t mask);

#define LOOP(name, t, expr)                                                                       \
    static void name(struct warp *w, const struct uop *u, uint32_t mask)                          \
    {                                                                                             \
        const t *pa = (const t *)(const void *)(w->regs + u->a);                                  \
        const t *pb = (const t *)(const void *)(w->regs + u->b);                                  \
        const t *pc = (const t *)(const void *)(w->regs + u->c);                                  \
        t *pd = (t *)(void *)(w->regs + u->d);                                                    \
        (void)pb;                                                                                 \
        (void)pc;                                                                                 \
        FOR_LANES(i, mask)                                                                        \
        {                                                                                         \
            volatile t a = pa[i];                                                                 \
            pd[i] = (expr);                                                                       \
        }                                                                                         \
    }

LOOP(add32, float, a + pb[i])
LOOP(sub32, float, a - pb[i])
LOOP(mul32, float, a *pb[i])
LOOP(div32, float, a / pb[i])
LOOP(fma32, float, fmaf(a, pb[i], pc[i]))
LOOP(sqrt32, float, sqrtf(a))
LOOP(rcp32, float, 1.0f / a)
LOOP(add64, double, a + pb[i])
LOOP(sub64, double, a - pb[i])
LOOP(mul64, double, a *pb[i])
LOOP(div64, double, a / pb[i])
LOOP(fma64, double, fma(a, pb[i], pc[i]))
LOOP(sqrt64, double, sqrt(a))
LOOP(rcp64, double, 1.0 / a)

HANDLER(ptx_op_round)
{
    static const round_fn loops[2][7] = {
        {add32, sub32, mul32, div32, fma32, sqrt32, rcp32},
        {add64, sub64, mul64, div64, fma64, sqrt64, rcp64}};
    static const int modes[] = {[VG_RN] = FE_TONEAREST, [VG_RZ] = FE_TOWARDZERO,
                                [VG_RM] = FE_DOWNWARD, [VG_RP] = FE_UPWARD};
    round_fn volatile fn = loops[u->x[1]][u->x[0]];

    if (u->x[2] == VG_RN) {
        fn(w, u, mask);
        return CTL_NEXT;
    }
    fesetround(modes[u->x[2]]);
    fn(w, u, mask);
    fesetround(FE_TONEAREST);
    return CTL_NEXT;
}
