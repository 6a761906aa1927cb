/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the two parts of the device that know QEMU share: vgpu_stub.c, and
 * vgpu_stub_move.c, which knows where BAR1's memory is.
 */
#ifndef VGPU_STUB_QEMU_H
#define VGPU_STUB_QEMU_H

#include "vgpu_stub_compat.h"
#include "vgpu_stub_backing.h"
#include "vgpu_stub_core.h"

#define TYPE_VG_STUB "vgpu-stub"
#define VG_STUB(obj) OBJECT_CHECK(VgStubState, (obj), TYPE_VG_STUB)

typedef struct VgStubState {
    PCIDevice parent_obj;

    /* properties */
    char *socket;
    char *root;
    char *vm;
    uint64_t size;
    uint32_t slots;
    uint64_t try_parking;   /* for tests, see vgpu_stub_backing.h */
    uint32_t fail_place;
    uint32_t away_max;      /* s */

    MemoryRegion regs;
    MemoryRegion ram;
    struct vg_stub_backing backing;
    MemoryListener listener;    /* hears where the guest maps BAR1 */
    uint64_t bar_gfn;           /* where that is; 0: nowhere */
    struct vg_stub core;
    int link_fd;
    bool absence_told;      /* of the mediator, since it was last there */
    QEMUTimer *retry;

    /* of a VM that is saved: */
    VMStateDescription vmstate;
    VMChangeStateEntry *on_run;
    QEMUTimer *away;        /* the pages are, and nobody says for how long */
    bool misplaced;         /* some pages are anywhere in the guest's memory */
    struct vg_stub_saved saved;
    uint32_t extents;
    uint8_t *owner;         /* [extents] */
} VgStubState;

/* ---- vgpu_stub_move.c ---- */

/* Whether the VM may be saved or migrated may have changed. */
void vg_stub_judge(VgStubState *s);

/* Where the backing's pages are the guest's: they follow the BAR from now on. */
void vg_stub_init_listener(VgStubState *s);

/* The core is initialised. */
void vg_stub_init_vmstate(VgStubState *s);
void vg_stub_fini_vmstate(VgStubState *s);

#endif
