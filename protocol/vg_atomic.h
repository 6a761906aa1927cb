/* SPDX-License-Identifier: MIT */
/*
 * Atomics for memory shared with another process. GCC 4.8 has no <stdatomic.h>,
 * so these wrap its builtins; the name says the ordering.
 */
#ifndef VG_ATOMIC_H
#define VG_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#define vg_load_relaxed(p)     __atomic_load_n((p), __ATOMIC_RELAXED)
#define vg_load_acquire(p)     __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define vg_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define vg_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define vg_exchange(p, v)      __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
#define vg_fetch_add(p, v)     __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)

/* The thread sanitizer knows no fences, but reads, modifications and writes of one word. */
#if defined(__SANITIZE_THREAD__)
__attribute__((weak)) uint32_t vg_fence_word;
#define vg_fence()             ((void)__atomic_fetch_add(&vg_fence_word, 0u, __ATOMIC_SEQ_CST))
#else
#define vg_fence()             __atomic_thread_fence(__ATOMIC_SEQ_CST)
#endif

/* True if *p was `expected` and is now `desired`. */
#define vg_cas(p, expected, desired)                                               \
    ({                                                                             \
        __typeof__(*(p)) vg_cas_old_ = (expected);                                 \
        __atomic_compare_exchange_n((p), &vg_cas_old_, (desired), false,           \
                                    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);           \
    })

static inline void vg_cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    __asm__ __volatile__("" ::: "memory");
#endif
}

#endif
