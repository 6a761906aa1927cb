/* SPDX-License-Identifier: MIT */
/*
 * A small lock: spins for what a ring record takes to write, then sleeps on a
 * futex. Unlike a pthread mutex it may be reset in a forked child.
 */
#ifndef VG_SHIM_LOCK_H
#define VG_SHIM_LOCK_H

#include <stdint.h>

#include "vg_atomic.h"

struct vg_lock {
    uint32_t word;      /* 0 free, 1 held, 2 held and somebody sleeps */
};

void vg_lock_slow(struct vg_lock *l);
void vg_lock_wake(struct vg_lock *l);

static inline void vg_lock(struct vg_lock *l)
{
    if (!vg_cas(&l->word, 0u, 1u))
        vg_lock_slow(l);
}

static inline void vg_unlock(struct vg_lock *l)
{
    if (__atomic_exchange_n(&l->word, 0u, __ATOMIC_RELEASE) == 2u)
        vg_lock_wake(l);
}

/* Futex on a word that other processes see too. Sleeps while *word == value, at most timeout_us. */
void vg_futex_wait(uint32_t *word, uint32_t value, unsigned timeout_us);
void vg_futex_wake(uint32_t *word);

#endif
