/* SPDX-License-Identifier: MIT */
/*
 * What vgpu-xenstore, which reads xenstore, and vgpu-mediator, which decides, say to
 * each other: packets on a SOCK_SEQPACKET pair, one of the structs below each, told
 * apart by their first word. The watcher sends facts, never decisions.
 *
 *   watcher                          mediator
 *   DOMAIN (new or changed)    ->
 *   GONE domid                 ->
 *   BATCH                      ->        act on what came since the last one
 *   BATCH with VG_XEN_FULL     ->        as above; domains it did not name are gone
 *   PROBLEM text               ->        for log and administrators; "" it is over
 *   ALIVE                      ->        at least every VG_XEN_ALIVE_MS while all is well
 *                              <-  STATE of a domain, to be written for guest and toolstack
 */
#ifndef VG_XEN_H
#define VG_XEN_H

#include <stdint.h>

#define VG_XEN_KEYS_MAX  24u        /* gpu_* keys of one domain, both places together */
#define VG_XEN_ALIVE_MS  2000u
#define VG_XEN_HANG_MS   20000u     /* a watcher that says nothing for so long is replaced */
#define VG_XEN_DOMAINS_MAX 1024u

enum vg_xen_type {
    VG_XEN_DOMAIN = 0x56580001,
    VG_XEN_GONE,
    VG_XEN_BATCH,
    VG_XEN_PROBLEM,
    VG_XEN_ALIVE,
    VG_XEN_STATE,
};

#define VG_XEN_FULL 1u

/* Where a key lies. The lower one is the stronger one. */
enum vg_xen_place { VG_XEN_PLATFORM, VG_XEN_HOOK, VG_XEN_PLACES };

enum vg_xen_value {
    VG_XEN_GOOD,
    VG_XEN_FORGEABLE,               /* somebody other than Dom0 may write it: no value */
    VG_XEN_LONG,                    /* longer than a value can be, or not text */
};

struct vg_xen_key {
    uint8_t place;                  /* enum vg_xen_place */
    uint8_t state;                  /* enum vg_xen_value */
    char name[30];                  /* "gpu_weight"; a longer one is cut */
    char value[64];
};

/* Texts end with NUL and are printable ASCII: the watcher replaces what is not. */
struct vg_xen_domain {
    uint32_t type;
    uint32_t domid;
    char instance[40];              /* unique-domain-id: another life of the domid has another */
    char uuid[40];                  /* that /local/domain/N/vm names now */
    char final_uuid[40];            /* the one it will have after a migration, or "" */
    char label[64];                 /* name for people */
    char identity[64];              /* the hook's, or "" */
    uint32_t more_keys;             /* than there is room for */
    uint32_t count;
    struct vg_xen_key key[VG_XEN_KEYS_MAX];
};

struct vg_xen_note {
    uint32_t type;                  /* GONE, BATCH, PROBLEM, ALIVE */
    uint32_t value;                 /* domid; VG_XEN_FULL */
    char text[200];
};

struct vg_xen_state {
    uint32_t type;
    uint32_t domid;
    char instance[40];              /* written only if it still is this one */
    char uuid[40];
    char state[16];                 /* "enabled", "disabled", "refused"; "": remove */
    char reason[512];
};

#endif
