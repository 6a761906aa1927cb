/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QEMU PCI device vgpu-stub: BAR0 registers, BAR1 the region shared with the
 * executors.  Glue between QEMU and vgpu_stub_core.c, where the behaviour is.
 * Everything runs under the big QEMU lock; nothing here may block a vCPU or
 * end QEMU because of what a guest or the mediator did.
 *
 *   -device vgpu-stub,socket=PATH,root=DIR,vm=NAME,size=64M,slots=16
 *
 * vm is what the mediator's configuration and logs call this VM; without it,
 * QEMU's -name.  root is the directory that QEMU will be confined to: before
 * that the socket is looked for at root + socket, after it at socket.
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/log.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "vgpu_stub_compat.h"

#include "vgpu_stub_link.h"
#include "vgpu_stub_qemu.h"
#include "trace.h"

#define VG_STUB_REVISION 0xa1

/* ---- what the core asks of its host ---- */

static void vg_stub_readable(void *opaque)
{
    VgStubState *s = opaque;
    struct vg_msg msg;
    size_t len;
    int fd, rc;

    while (s->link_fd >= 0) {
        rc = vg_stub_link_recv(s->link_fd, &msg, &len, &fd);
        if (rc == -EAGAIN) {
            return;
        }
        if (rc < 0) {
            vg_stub_link_lost(&s->core, rc);
            return;
        }
        vg_stub_message(&s->core, &msg, len, fd);
    }
}

/* Attempts go on for ever, so one warning has to do for all of them. */
static void vg_stub_tell_absence(VgStubState *s, int error)
{
    if (!s->absence_told) {
        warn_report("vgpu-stub: no mediator at %s yet: %s", s->socket,
                    strerror(error));
    }
    s->absence_told = true;
}

static int vg_stub_host_open(void *opaque)
{
    VgStubState *s = opaque;
    int fd = -ENOENT;

    if (s->root) {
        g_autofree char *outside = g_strconcat(s->root, s->socket, NULL);

        fd = vg_stub_link_connect(outside);
    }
    if (fd < 0) {
        fd = vg_stub_link_connect(s->socket);
    }
    if (fd < 0) {
        vg_stub_tell_absence(s, -fd);
        return fd;
    }
    s->absence_told = false;
    s->link_fd = fd;
    qemu_set_fd_handler(fd, vg_stub_readable, NULL, s);
    return 0;
}

static void vg_stub_host_close(void *opaque)
{
    VgStubState *s = opaque;

    qemu_set_fd_handler(s->link_fd, NULL, NULL, NULL);
    close(s->link_fd);
    s->link_fd = -1;
}

static int vg_stub_host_send(void *opaque, const struct vg_msg *msg, int fd)
{
    VgStubState *s = opaque;

    return vg_stub_link_send(s->link_fd, msg, fd);
}

static void vg_stub_host_connect_later(void *opaque, unsigned ms)
{
    VgStubState *s = opaque;

    timer_mod(s->retry, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + ms);
}

static void vg_stub_host_fd_signal(void *opaque, int eventfd)
{
    vg_stub_link_signal(eventfd);
}

static void vg_stub_host_fd_close(void *opaque, int fd)
{
    close(fd);
}

static void vg_stub_host_event(void *opaque, enum vg_stub_event what,
                               uint64_t a, uint64_t b)
{
    VgStubState *s = opaque;

    switch (what) {
    case VG_STUB_EV_READ:
        trace_vg_stub_read(s, a, b);
        break;
    case VG_STUB_EV_WRITE:
        trace_vg_stub_write(s, a, b);
        break;
    case VG_STUB_EV_CLAIM:
        trace_vg_stub_claim(s, a);
        break;
    case VG_STUB_EV_ATTACH:
        trace_vg_stub_attach(s, a);
        break;
    case VG_STUB_EV_RELEASE:
        trace_vg_stub_release(s, a);
        break;
    case VG_STUB_EV_DOORBELL:
        trace_vg_stub_doorbell(s, a, b);
        break;
    case VG_STUB_EV_SLOT:
        trace_vg_stub_slot(s, a, b);
        vg_stub_judge(s);
        break;
    case VG_STUB_EV_LINK_UP:
        trace_vg_stub_link_up(s, a);
        break;
    case VG_STUB_EV_LINK_DOWN:
        trace_vg_stub_link_down(s, strerror(a), b);
        break;
    case VG_STUB_EV_RESET:
        trace_vg_stub_reset(s);
        break;
    case VG_STUB_EV_MOVED:
        trace_vg_stub_moved(s, a);
        break;
    }
}

static void vg_stub_host_guest_error(void *opaque, const char *what,
                                     uint64_t value)
{
    trace_vg_stub_guest_error(opaque, what, value);
    qemu_log_mask(LOG_GUEST_ERROR, "vgpu-stub: %s: 0x%" PRIx64 "\n", what,
                  value);
}

static void vg_stub_host_complain(void *opaque, const char *what,
                                  const char *detail)
{
    warn_report("vgpu-stub: %s%s%s", what, *detail ? ": " : "", detail);
}

static const struct vg_stub_host vg_stub_qemu_host = {
    .link_open = vg_stub_host_open,
    .link_close = vg_stub_host_close,
    .link_send = vg_stub_host_send,
    .connect_later = vg_stub_host_connect_later,
    .fd_signal = vg_stub_host_fd_signal,
    .fd_close = vg_stub_host_fd_close,
    .event = vg_stub_host_event,
    .guest_error = vg_stub_host_guest_error,
    .complain = vg_stub_host_complain,
};

/* ---- BAR0 ---- */

static uint64_t vg_stub_regs_read(void *opaque, hwaddr addr, unsigned size)
{
    VgStubState *s = opaque;

    return vg_stub_read(&s->core, addr, size);
}

static void vg_stub_regs_write(void *opaque, hwaddr addr, uint64_t value,
                               unsigned size)
{
    VgStubState *s = opaque;

    vg_stub_write(&s->core, addr, value, size);
}

/* Every width reaches the core, which knows what to do with wrong ones. */
static const MemoryRegionOps vg_stub_regs_ops = {
    .read = vg_stub_regs_read,
    .write = vg_stub_regs_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {
        .min_access_size = 1,
        .max_access_size = 8,
        .unaligned = true,
    },
    .impl = {
        .min_access_size = 1,
        .max_access_size = 8,
        .unaligned = true,
    },
};

/* ---- BAR1 ---- */

static uint64_t vg_stub_ram_read(void *opaque, hwaddr addr, unsigned size)
{
    VgStubState *s = opaque;

    return vg_stub_region_read(&s->core, addr, size);
}

static void vg_stub_ram_write(void *opaque, hwaddr addr, uint64_t value,
                              unsigned size)
{
    VgStubState *s = opaque;

    vg_stub_region_write(&s->core, addr, value, size);
}

/* Only while the pages are not where the guest looks for them. */
static const MemoryRegionOps vg_stub_ram_ops = {
    .read = vg_stub_ram_read,
    .write = vg_stub_ram_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
};

static void vg_stub_init_ram(VgStubState *s)
{
    if (!s->backing.ops->place) {
        memory_region_init_ram_ptr(&s->ram, OBJECT(s), "vgpu-stub-region",
                                   s->size, s->backing.base);
        return;
    }
    memory_region_init_io(&s->ram, OBJECT(s), &vg_stub_ram_ops, s,
                          "vgpu-stub-region", s->size);
    s->core.region_gfn = s->backing.gfn;
    vg_stub_init_listener(s);
}

/* ---- device life ---- */

static void vg_stub_retry(void *opaque)
{
    VgStubState *s = opaque;

    vg_stub_connect(&s->core);
}

static const struct vg_stub_backing_ops *vg_stub_backing_here(void)
{
#ifdef CONFIG_XEN
    if (xen_enabled()) {
        return &vg_stub_backing_xen;
    }
#endif
    return &vg_stub_backing_memfd;
}

/* The toolstack gives QEMU's -m all that the guest may ever have. */
static uint64_t vg_stub_memory_top(void)
{
    X86MachineState *m = X86_MACHINE(qdev_get_machine());

    return (m->above_4g_mem_size ? 4 * GiB + m->above_4g_mem_size
                                 : m->below_4g_mem_size) / 4096;
}

static bool vg_stub_open_region(VgStubState *s, Error **errp)
{
    const char *name;
    int rc;

    if (!is_power_of_2(s->size)) {
        error_setg(errp, "size must be a power of two");
        return false;
    }
    s->backing.ops = vg_stub_backing_here();
    s->backing.try_parking = s->try_parking / 4096;
    s->backing.fail_place = s->fail_place;
    s->backing.memory_top = vg_stub_memory_top();
    rc = s->backing.ops->open(&s->backing, s->size);
    if (rc < 0) {
        error_setg_errno(errp, -rc, "cannot make the shared region");
        return false;
    }
    if (!vg_stub_init(&s->core, &vg_stub_qemu_host, s, s->backing.base,
                      s->size, s->slots)) {
        s->backing.ops->close(&s->backing);
        error_setg(errp, "size must be %u MiB to %u GiB, slots 1 to %u, "
                   "and the slots must fit",
                   (unsigned)(VG_REGION_SIZE_MIN / MiB),
                   (unsigned)(VG_REGION_SIZE_MAX / GiB), VG_SLOTS_MAX);
        return false;
    }
    s->core.region_fd = s->backing.fd;
    name = s->vm ? s->vm : qemu_get_vm_name();
    pstrcpy(s->core.name, sizeof(s->core.name), name ? name : "");
    return true;
}

static void vg_stub_realize(PCIDevice *pdev, Error **errp)
{
    VgStubState *s = VG_STUB(pdev);

    s->link_fd = -1;
    if (!vg_stub_open_region(s, errp)) {
        return;
    }
    s->retry = timer_new_ms(QEMU_CLOCK_REALTIME, vg_stub_retry, s);

    memory_region_init_io(&s->regs, OBJECT(s), &vg_stub_regs_ops, s,
                          "vgpu-stub-regs", VG_BAR0_SIZE);
    pci_register_bar(pdev, 0, PCI_BASE_ADDRESS_SPACE_MEMORY, &s->regs);
    vg_stub_init_ram(s);
    pci_register_bar(pdev, 1, PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_PREFETCH |
                     PCI_BASE_ADDRESS_MEM_TYPE_64, &s->ram);
    vg_stub_init_vmstate(s);

    /* Neither a mediator that is not there yet is a reason to keep the VM
     * down, nor memory that it could not share. */
    if (s->backing.fd < 0 && !s->backing.gfn) {
        vg_stub_disable(&s->core, "stays offline: cannot make the shared "
                        "region", strerror(s->backing.why));
        return;
    }
    vg_stub_connect(&s->core);
}

/* The device cannot be unplugged, so this runs when QEMU ends, at most; the
 * region stays mapped because its RAM block outlives us. */
static void vg_stub_exit(PCIDevice *pdev)
{
    VgStubState *s = VG_STUB(pdev);

    if (s->backing.ops->place) {
        memory_listener_unregister(&s->listener);
    }
    vg_stub_fini_vmstate(s);
    vg_stub_fini(&s->core);
    timer_free(s->retry);
    s->retry = NULL;
}

static void vg_stub_qdev_reset(DeviceState *dev)
{
    VgStubState *s = VG_STUB(dev);

    vg_stub_reset(&s->core);
}

static Property vg_stub_properties[] = {
    DEFINE_PROP_STRING("socket", VgStubState, socket),
    DEFINE_PROP_STRING("root", VgStubState, root),
    DEFINE_PROP_STRING("vm", VgStubState, vm),
    DEFINE_PROP_SIZE("size", VgStubState, size, 64 * MiB),
    DEFINE_PROP_UINT32("slots", VgStubState, slots, VG_SLOTS_DEFAULT),
    DEFINE_PROP_SIZE("x-parking", VgStubState, try_parking, 0),
    DEFINE_PROP_UINT32("x-fail-move", VgStubState, fail_place, 0),
    DEFINE_PROP_UINT32("away", VgStubState, away_max, 1800),
    DEFINE_PROP_END_OF_LIST(),
};

static void vg_stub_instance_init(Object *obj)
{
    VG_STUB(obj)->socket = g_strdup(VG_SOCKET_PATH);
}

static void vg_stub_class_init(ObjectClass *class, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(class);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(class);

    k->realize = vg_stub_realize;
    k->exit = vg_stub_exit;
    k->vendor_id = VG_PCI_VENDOR;
    k->device_id = VG_PCI_DEVICE;
    k->subsystem_vendor_id = VG_PCI_SUBVENDOR;
    k->subsystem_id = VG_PCI_SUBDEVICE;
    k->class_id = VG_PCI_CLASS;
    k->revision = VG_STUB_REVISION;
    dc->desc = "vGPU of the host's GPU, by CUDA API remoting";
    dc->reset = vg_stub_qdev_reset;
    dc->hotpluggable = false;
    device_class_set_props(dc, vg_stub_properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static void vg_stub_register_types(void)
{
    static InterfaceInfo interfaces[] = {
        { INTERFACE_CONVENTIONAL_PCI_DEVICE },
        { },
    };
    static const TypeInfo info = {
        .name = TYPE_VG_STUB,
        .parent = TYPE_PCI_DEVICE,
        .instance_size = sizeof(VgStubState),
        .instance_init = vg_stub_instance_init,
        .class_init = vg_stub_class_init,
        .interfaces = interfaces,
    };

    type_register_static(&info);
}

type_init(vg_stub_register_types)
