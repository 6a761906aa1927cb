/* SPDX-License-Identifier: MIT */
/* The list of VMs, see vm.h. */
#include "vm.h"

#include <stdlib.h>
#include <string.h>

#include "mediator/base/loop.h"

static const char *const gone_names[VG_GONE_REASONS] = {
    [VG_GONE_NONE] = "ended",       [VG_GONE_REFUSED] = "refused",   [VG_GONE_MEDIATOR] = "shutdown",
    [VG_GONE_CRASHED] = "crashed",  [VG_GONE_PROTOCOL] = "protocol", [VG_GONE_TIMEOUT] = "timeout",
    [VG_GONE_NO_GPU] = "no-gpu",    [VG_GONE_LEASE] = "lease",       [VG_GONE_VERSION] = "version",
    [VG_GONE_QUARANTINED] = "quarantined", [VG_GONE_GPU_SICK] = "gpu-sick",
};

const char *vg_gone_name(unsigned reason)
{
    return reason < VG_GONE_REASONS ? gone_names[reason] : "?";
}

bool vg_gone_is_fault(unsigned reason)
{
    return reason >= VG_GONE_CRASHED && reason <= VG_GONE_VERSION;
}

uint64_t vg_vm_faults(const struct vg_vm *vm)
{
    uint64_t faults = 0;

    for (unsigned i = 0; i < VG_GONE_REASONS; i++)
        faults += vg_gone_is_fault(i) ? vm->gone[i] : 0;
    return faults;
}

void vg_vms_init(struct vg_vms *vms)
{
    vg_list_init(&vms->list);
    vms->count = 0;
    vms->forgotten = NULL;
}

void vg_vms_fini(struct vg_vms *vms)
{
    struct vg_vm *vm, *next;

    vg_list_for_each_safe(vm, next, &vms->list, link)
        vg_vms_remove(vms, vm);
}

struct vg_vm *vg_vms_find(struct vg_vms *vms, const char *name)
{
    struct vg_vm *vm;

    vg_list_for_each(vm, &vms->list, link) {
        if (strcmp(vm->name, name) == 0)
            return vm;
    }
    return NULL;
}

bool vg_vm_is_idle(const struct vg_vm *vm)
{
    return vm->peers == 0 && vm->toolstack.domains == 0 && !vm->health.quarantined;
}

/* Names of host processes are anybody's choice, so what they leave behind must not pile up. */
static bool make_room(struct vg_vms *vms)
{
    struct vg_vm *vm, *oldest = NULL;

    if (vms->count < VG_VMS_MAX)
        return true;
    vg_list_for_each(vm, &vms->list, link) {
        if (!vm->registered && vg_vm_is_idle(vm) && (!oldest || vm->since < oldest->since))
            oldest = vm;
    }
    if (oldest)
        vg_vms_remove(vms, oldest);
    return oldest != NULL;
}

static void insert_sorted(struct vg_vms *vms, struct vg_vm *vm)
{
    struct vg_vm *other;

    vg_list_for_each(other, &vms->list, link) {
        if (strcmp(other->name, vm->name) > 0)
            break;
    }
    vg_list_append(&other->link, &vm->link);
}

struct vg_vm *vg_vms_add(struct vg_vms *vms, const char *name, const struct vg_policy *policy)
{
    struct vg_vm *vm;

    if (!make_room(vms))
        return NULL;
    vm = calloc(1, sizeof(*vm));
    if (!vm)
        return NULL;
    strncpy(vm->name, name, sizeof(vm->name) - 1);
    vm->policy = vm->grant = *policy;
    vg_quota_init(vm);
    vg_images_init(vm);
    vm->since = vg_now();
    vg_list_init(&vm->shares);
    insert_sorted(vms, vm);
    vms->count++;
    return vm;
}

void vg_vms_remove(struct vg_vms *vms, struct vg_vm *vm)
{
    if (vms->forgotten)
        vms->forgotten(vms->arg, vm);
    vg_list_remove(&vm->link);
    vms->count--;
    vg_quota_fini(vm);
    vg_images_fini(vm);
    free(vm);
}
