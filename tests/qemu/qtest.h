/* SPDX-License-Identifier: MIT */
/*
 * A QEMU under test: no CPU runs, we are the CPU. Speaks QEMU's qtest protocol
 * (text lines, "OK value" answers; docs/devel/qtest.rst). Every failure ends the
 * test with a message. One thread.
 */
#ifndef VG_QTEST_H
#define VG_QTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Whether `dir` is also the directory that QEMU is confined to, as XCP-ng does it. */
enum vg_qtest_home {
    VG_QTEST_FREE,
    VG_QTEST_ROOTED,        /* told so, but not yet confined */
    VG_QTEST_CONFINED,      /* and may write 1 MiB to a file */
    VG_QTEST_CRAMPED,       /* and has no right to lift that */
};

struct vg_qtest {
    enum vg_qtest_home home;    /* set before the start */
    char state[64];         /* likewise: file of a saved state to begin with; "": none */
    pid_t pid;
    int sock;
    char dir[64];           /* scratch directory, also for the mediator's socket */
    char log[96];           /* -d guest_errors */
};

/* XCP-ng's QEMU has no speaker, which comes with a timer where there is no Xen. */
#define VG_QTEST_MACHINE "pc,usb=off,pit=off"

/* The binary that `make qemu` built, or NULL with a reason on stdout. */
const char *vg_qtest_binary(void);

/* Starts QEMU with `-device vgpu-stub` and these properties (",size=16M" or ""). */
void vg_qtest_start(struct vg_qtest *q, const char *properties);
void vg_qtest_stop(struct vg_qtest *q);

uint64_t vg_qtest_read(struct vg_qtest *q, uint64_t addr, unsigned bytes);
void vg_qtest_write(struct vg_qtest *q, uint64_t addr, uint64_t value, unsigned bytes);

/* PCI configuration space by ports 0xcf8 and 0xcfc, bus 0. */
uint32_t vg_qtest_pci_read(struct vg_qtest *q, unsigned slot, unsigned offset);
void vg_qtest_pci_write(struct vg_qtest *q, unsigned slot, unsigned offset, uint32_t value);

/* Reset by the PIIX3's port 0xcf9, as a guest's kernel does it. */
void vg_qtest_reset(struct vg_qtest *q);

/* What the toolstack would say by QMP, and QEMU's answer to it. */
void vg_qtest_qmp(struct vg_qtest *q, const char *command, char *ret_answer, size_t cap);

/* True if QEMU logged a line with `text` in it. */
bool vg_qtest_logged(struct vg_qtest *q, const char *text);

#endif
