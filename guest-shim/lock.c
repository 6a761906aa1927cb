/* SPDX-License-Identifier: MIT */
/* The sleeping half of lock.h. Any thread. */
#include "guest-shim/lock.h"

#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPINS 200   /* a record takes 0.1 us to write; longer means that the holder waits */

void vg_lock_slow(struct vg_lock *l)
{
    for (int i = 0; i < SPINS; i++) {
        if (vg_load_relaxed(&l->word) == 0 && vg_cas(&l->word, 0u, 1u))
            return;
        vg_cpu_relax();
    }
    while (vg_exchange(&l->word, 2u) != 0)
        syscall(SYS_futex, &l->word, FUTEX_WAIT_PRIVATE, 2u, NULL, NULL, 0);
}

void vg_lock_wake(struct vg_lock *l)
{
    syscall(SYS_futex, &l->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void vg_futex_wait(uint32_t *word, uint32_t value, unsigned timeout_us)
{
    struct timespec t = {timeout_us / 1000000, (long)(timeout_us % 1000000) * 1000};

    syscall(SYS_futex, word, FUTEX_WAIT, value, &t, NULL, 0);
}

void vg_futex_wake(uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}
