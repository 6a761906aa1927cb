/* SPDX-License-Identifier: MIT */
/* A function for each slot (octal) of each table. Included by trace_own.c only. */
#define S8(M, t, s)  M(t, s##0) M(t, s##1) M(t, s##2) M(t, s##3) M(t, s##4) M(t, s##5) M(t, \
    s##6) M(t, s##7)
#define S64(M, t, s) S8(M, t, s##0) S8(M, t, s##1) S8(M, t, s##2) S8(M, t, s##3) S8(M, t, \
    s##4) S8(M, t, s##5) S8(M, t, s##6) S8(M, t, s##7)
#define S128(M, t)   S64(M, t, 00) S64(M, t, 01)
#define ALL(M) S128(M, 0) S128(M, 1) S128(M, 2) S128(M, 3) S128(M, 4) S128(M, 5) S128(M, 6) \
    S128(M, 7) S128(M, 8) S128(M, 9) S128(M, 10) S128(M, 11) S128(M, 12) S128(M, 13) S128(M, \
    14) S128(M, 15) S128(M, 16) S128(M, 17) S128(M, 18) S128(M, 19) S128(M, 20) S128(M, 21) \
    S128(M, 22) S128(M, 23)

ALL(STUB)

static slot_function *const stubs[TABLES][SLOTS_MAX] = {ALL(ENTRY)};
