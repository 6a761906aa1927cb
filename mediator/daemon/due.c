/* SPDX-License-Identifier: MIT */
/* See due.h. */
#include "due.h"

#include "mediator.h"

#define IDLE_MS 1000u

static void look(void *arg)
{
    struct vg_mediator *m = arg;
    struct vg_vm *vm;

    vg_list_for_each(vm, &m->vms.list, link) {
        int now = vm->peers ? (int)vg_turns_entitled(vm) : 0;

        /* One that comes or goes has no past. */
        if (now == 0 || vm->due_ppm == 0)
            vm->due_ppm = now;
        else
            vm->due_ppm += (now - vm->due_ppm) / (int)VG_DUE_LOOK;
    }
    vg_timer_set(&m->loop, &m->due_timer,
                 vg_now() + (m->session_count ? VG_DUE_MS : IDLE_MS) * VG_NS_PER_MS, look, m);
}

void vg_due_start(struct vg_mediator *m)
{
    look(m);
}

void vg_due_stop(struct vg_mediator *m)
{
    vg_timer_del(&m->due_timer);
}
