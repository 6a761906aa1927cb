/* SPDX-License-Identifier: MIT */
/*
 * Every bound on something a guest controls, in one place. Both sides compile
 * the same numbers; the host enforces them, the guest merely respects them.
 */
#ifndef VG_LIMITS_H
#define VG_LIMITS_H

#define VG_REGION_SIZE_MIN   (16ull << 20)   /* bytes; the smallest BAR1 */
#define VG_REGION_SIZE_MAX   (64ull << 30)   /* bytes */
#define VG_SLOTS_MAX         64u             /* guest processes per region at one time */
#define VG_SLOTS_DEFAULT     16u

#define VG_EXTENT_SIZE       (64u << 10)     /* bytes; unit of shared data memory */

#define VG_RING_SIZE         (128u << 10)    /* bytes per slot; a power of two */
#define VG_RECORD_ALIGN      16u             /* bytes; every ring record starts on this */
#define VG_PAYLOAD_MAX       (40u << 10)     /* bytes inline after a call header */

#define VG_BUSY_CREDIT       (2u << 10)      /* bytes of records that a guest told BUSY may still queue */
#define VG_BUSY_MAX_US       100000u         /* longest retry time, and longest back-off */

#define VG_CELLS             128u            /* replies outstanding per slot */
#define VG_REPLY_MAX         512u            /* bytes of reply payload per cell */
#define VG_CONSOLE_SIZE      (16u << 10)     /* bytes of device printf output per slot */
#define VG_STAGES            64u             /* staging chunks in flight per slot */
#define VG_CALLBACKS         64u             /* host callbacks in flight per slot */

#define VG_PARAMS_MAX        32764u          /* bytes of kernel parameters (CUDA 12.1 and later) */
#define VG_LAUNCH_ATTRS_MAX  16u
#define VG_NAME_MAX          4096u           /* bytes of a symbol name, NUL included */
#define VG_IMAGE_MAX         (512ull << 20)  /* bytes of a module image */
#define VG_DEVICES_MAX       16u
#define VG_SHARES_MAX        4096u           /* things that the processes of a VM export at a time */

#define VG_HEARTBEAT_MS      500u            /* warden's beat */
#define VG_LEASE_MS          10000u          /* a VM process without a beat for so long is dead */

#endif
