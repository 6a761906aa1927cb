/* SPDX-License-Identifier: MIT */
/* Shelves of images, see images.h. */
#include "images.h"

#include "mediator.h"
#include "mediator/base/file.h"
#include "mediator/base/log.h"

void vg_images_init(struct vg_vm *vm)
{
    vm->images.fd = -1;
}

void vg_images_fini(struct vg_vm *vm)
{
    vg_close(&vm->images.fd);
}

uint64_t vg_images_bytes(const struct vg_mediator *m)
{
    return m->config.image_cache_mib << 20;
}

/* Of VMs without a connection: how many have one, and the one that was used longest ago. */
static unsigned count_idle(struct vg_mediator *m, struct vg_vm **ret_oldest)
{
    struct vg_vm *vm, *oldest = NULL;
    unsigned n = 0;

    vg_list_for_each(vm, &m->vms.list, link) {
        if (vm->images.fd < 0 || vm->peers > 0)
            continue;
        n++;
        if (!oldest || vm->images.used < oldest->images.used)
            oldest = vm;
    }
    *ret_oldest = oldest;
    return n;
}

void vg_images_trim(struct vg_mediator *m)
{
    struct vg_vm *oldest;

    while (count_idle(m, &oldest) > VG_IMAGES_IDLE)
        vg_images_fini(oldest);
}

static void make_shelf(struct vg_mediator *m, struct vg_vm *vm)
{
    vm->images.fd = vg_memfd_new("vgpu-images", vg_images_bytes(m));
    if (vm->images.fd < 0)
        vg_log(VG_LOG_WARNING, "no-image-cache", "vm=%s error=%d", vm->name, -vm->images.fd);
}

int vg_images_of(struct vg_mediator *m, struct vg_vm *vm)
{
    if (vm->images.fd < 0 && vg_images_bytes(m) > 0)
        make_shelf(m, vm);
    vm->images.used = vg_now();
    return vm->images.fd;
}
