/* SPDX-License-Identifier: MIT */
/*
 * Who a peer is by its HELLO: its name, its region, its VM; see client.h. Each returns NULL, or a
 * sentence why it is turned away. Runs on the daemon's loop.
 */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "mediator.h"
#include "mediator/base/file.h"
#include "mediator/base/log.h"
#include "mediator/base/number.h"
#include "slotmem.h"

/* A process is free to call itself anything; its VM gets the nearest name that is allowed. */
static void process_name(char *name, size_t cap, pid_t pid)
{
    if (!name[0])
        snprintf(name, cap, "process-%d", (int)pid);
    for (char *p = name; *p; p++) {
        char one[2] = { *p, '\0' };

        if (!vg_name_ok(one, sizeof(one)) && (p == name || !strchr("._:-", *p)))
            *p = p == name ? 'x' : '_';
    }
}

/* Under Xen the pages are the domain's; whose they are the socket says, not the message. */
static const char *open_region(struct vg_client *c, const struct vg_msg *msg)
{
    if (!c->domid)
        return "the region of a device under Xen is taken by its domain's socket only";
    c->mem.fd = vg_regmem_open_domain(c->domid);
    if (c->mem.fd < 0)
        return "cannot get a handle to the domain's memory";
    c->mem.domid = c->domid;
    c->mem.gfn = msg->region_gfn;
    return NULL;
}

static const char *take_region(struct vg_client *c, const struct vg_msg *msg, int *fd)
{
    if (msg->region_gfn && !vg_region_layout_init(&c->layout, msg->region_size, msg->slot_count))
        return "region size or slot count is outside the limits";
    if (msg->region_gfn)
        return open_region(c, msg);
    if (*fd < 0)
        return "HELLO of a device carries no region";
    if (!vg_region_layout_init(&c->layout, msg->region_size, msg->slot_count))
        return "region size or slot count is outside the limits";
    if (vg_slotmem_check(*fd, &c->layout) < 0)
        return "the region is not a memfd, writable and of the size it claims";
    c->mem.fd = vg_steal_fd(fd);
    return NULL;
}

static const char *make_region(struct vg_client *c)
{
    if (!vg_region_layout_init(&c->layout, c->mediator->config.region_mib << 20, 1))
        return "region_mib is outside the limits";
    c->mem.fd = vg_slotmem_new(&c->layout);
    return c->mem.fd < 0 ? "no memory for a region" : NULL;
}

static const char *make_page(struct vg_client *c)
{
    c->layout.size = VG_TELEMETRY_SIZE;
    c->mem.fd = vg_memfd_new("vgpu-telemetry", VG_TELEMETRY_SIZE);
    return c->mem.fd < 0 ? "no memory for telemetry" : NULL;
}

static const char *take_name(struct vg_client *c, struct vg_msg *msg)
{
    msg->name[sizeof(msg->name) - 1] = '\0';
    vg_log_clean(c->claimed, sizeof(c->claimed), msg->name, sizeof(msg->name));
    if (msg->role == VG_ROLE_MONITOR && !msg->name[0])
        return NULL;
    if (msg->role == VG_ROLE_PROCESS)
        process_name(msg->name, sizeof(msg->name), c->pid);
    if (!vg_name_ok(msg->name, sizeof(msg->name)))
        return "the VM name is empty or has characters other than letters, digits and ._:-";
    return NULL;
}

/* By a domain's own socket comes that domain; what it calls itself does not count. */
static struct vg_vm *vm_of(struct vg_client *c, const char *name, char *why, size_t cap)
{
    struct vg_vm *vm;

    if (c->domid)
        return vg_domain_admit(c->mediator, c->domid, why, cap);
    vm = vg_mediator_admit(c->mediator, name, why, cap);
    return vm && vg_toolstack_allows(vm, c->uid, why, cap) ? vm : NULL;
}

/* The VM comes last: a peer that is turned away for anything else leaves none behind. */
const char *vg_client_identify(struct vg_client *c, struct vg_msg *msg, int *fd, char *buf,
                               size_t cap)
{
    const char *why = take_name(c, msg);
    struct vg_vm *vm;

    if (!why)
        why = msg->role == VG_ROLE_DEVICE    ? take_region(c, msg, fd)
              : msg->role == VG_ROLE_PROCESS ? make_region(c)
                                             : make_page(c);
    if (why || msg->role == VG_ROLE_MONITOR)
        return why;
    vm = vm_of(c, msg->name, buf, cap);
    if (!vm || !vg_quota_may_pin(c->mediator, vm, c->layout.size, buf, cap))
        return buf;
    c->vm = vm;
    c->vm->peers++;
    return NULL;
}
