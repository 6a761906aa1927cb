/* SPDX-License-Identifier: MIT */
/*
 * libvgpu-nvml.so inside: a copy of the telemetry page, refreshed when it is old,
 * under one lock. Every exported function enters, answers from the copy, leaves.
 * Any thread. Nothing here talks to an executor or a GPU.
 */
#ifndef VG_NV_H
#define VG_NV_H

#include "vg_telemetry.h"

#define NV_EXPORT __attribute__((visibility("default")))

/* Begins the definition of an exported function. */
#define NV_FUNCTION(name, arguments)    \
    NV_EXPORT nv_result name arguments; \
    nv_result name arguments

typedef int nv_result;                      /* enum vg_nv_result */
typedef struct nv_handle *nv_device;        /* what programs hold; see nv_device_index */

/* ---- state.c ---- */

nv_result nv_init(void);
nv_result nv_shutdown(void);

/*
 * Takes the lock. SUCCESS: nv_page is valid until nv_leave. Otherwise the lock is not
 * held: UNINITIALIZED, or GPU_IS_LOST while the mediator is away.
 */
nv_result nv_enter(void);
void nv_leave(void);
extern struct vg_telemetry nv_page;

bool nv_in_vm(void);                        /* between enter and leave */

/* Enters and checks a handle; *ret_index counts devices. */
nv_result nv_enter_device(nv_device dev, unsigned *ret_index);
nv_device nv_handle_of(unsigned index);     /* between enter and leave */

/* For functions that answer the same whatever the page says. */
nv_result nv_check(void);
nv_result nv_check_device(nv_device dev);

/* ---- items.c ---- */

/* Copies an answer of nv_page. The host's status, if it is not SUCCESS. */
nv_result nv_item(unsigned index, enum vg_nv_item item, unsigned element, void *out);
nv_result nv_item_of(nv_device dev, enum vg_nv_item item, unsigned element, void *out);

/* Text into a buffer of `length` bytes. */
nv_result nv_text(const char *text, char *out, unsigned length);

/* ---- process.c ---- */

/* Process `i` of those on a device, NULL: no more. Between enter and leave. */
const struct vg_telemetry_process *nv_process(unsigned index, unsigned i);

/* The process's program by /proc, else its name as the page tells. False: no such process. */
bool nv_process_name(uint32_t pid, char *out, size_t size);

/* ---- source.c: where the page comes from ---- */

struct nv_source {
    struct vg_telemetry *page;  /* mapped, NULL: closed */
    int sock;                   /* host: the mediator's, else -1 */
    volatile uint32_t *regs;    /* VM: BAR0, else NULL */
};

/* 0, or -1 with a sentence in `why`. */
int nv_source_open(struct nv_source *s, char *why, size_t cap);
void nv_source_close(struct nv_source *s);
bool nv_source_alive(const struct nv_source *s);

#endif
