/* SPDX-License-Identifier: MIT */
/*
 * The PCI device vgpu-stub as a guest sees it: identity and BAR0 registers.
 * All registers are 32 bits wide, little-endian, accessed as aligned 32-bit words;
 * any other access reads all ones, writes nothing, and is logged as a guest error.
 */
#ifndef VG_REGS_H
#define VG_REGS_H

#define VG_PCI_VENDOR        0x10de
#define VG_PCI_DEVICE        0x2331
#define VG_PCI_CLASS         0x0302      /* 3D controller */
#define VG_PCI_SUBVENDOR     0x5647      /* "VG"; real cards carry NVIDIA's or a maker's id */
#define VG_PCI_SUBDEVICE     0x0001

#define VG_BAR0_SIZE         4096u

#define VG_REG_MAGIC         0x00        /* ro: VG_REG_MAGIC_VALUE */
#define VG_REG_VERSION       0x04        /* ro: protocol version */
#define VG_REG_FEATURES      0x08        /* ro: VG_FEATURE_* */
#define VG_REG_STATUS        0x0c        /* ro: VG_STATUS_* */
#define VG_REG_EPOCH         0x10        /* ro: counts connections to the mediator */
#define VG_REG_SLOT_COUNT    0x14        /* ro */
#define VG_REG_REGION_LO     0x18        /* ro: region size in bytes, low half */
#define VG_REG_REGION_HI     0x1c        /* ro: high half */
#define VG_REG_CLAIM         0x20        /* ro: reading takes a free slot: its token, or all ones */
#define VG_REG_ATTACH        0x24        /* wo: token; asks the mediator for an executor */
#define VG_REG_RELEASE       0x28        /* wo: token; gives the slot back */
#define VG_REG_DOORBELL      0x2c        /* wo: token; wakes the slot's executor */
#define VG_REG_TRAPS         0x30        /* ro: accesses to BAR0 so far, this register excepted */
#define VG_REG_REGION_TRAPS  0x34        /* ro: accesses to BAR1 that the device had to serve */
#define VG_REG_END           0x38

#define VG_REG_MAGIC_VALUE   0x55504756u /* "VGPU" */
#define VG_CLAIM_NONE        0xffffffffu

#define VG_STATUS_MEDIATOR   (1u << 0)   /* the mediator is connected */
#define VG_STATUS_REFUSED    (1u << 1)   /* the mediator refuses this VM (reason in the host's log) */

/* A token names one use of a slot, so that a late release cannot hit the next owner. */
#define VG_TOKEN(slot, gen)  (((unsigned)(gen) & 0xffffu) << 16 | ((unsigned)(slot) & 0xffffu))
#define VG_TOKEN_SLOT(t)     ((unsigned)(t) & 0xffffu)
#define VG_TOKEN_GEN(t)      ((unsigned)(t) >> 16 & 0xffffu)

#endif
