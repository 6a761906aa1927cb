/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where BAR1's memory is while the guest moves the BAR, and while somebody moves
 * the guest: suspend and migration.  Under the big QEMU lock.
 *
 * Under Xen the region's pages are the guest's, and whoever saves a guest saves
 * all its pages; but where it is restored there is no room for ours, which the
 * device over there makes anew.  So they are out of the way while it is saved:
 * put where the saver does not look, and back if the guest goes on here.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "qapi/visitor.h"

#include "vgpu_stub_qemu.h"

/* Less than toolstacks wait for QEMU, and far more than a warden takes. */
#define PARK_MS 4000

/* Until all have heard that the VM runs again. */
#define SETTLE_MS 1000

/*
 * A toolstack asks before it begins, while the VM runs, and is refused while a
 * program computes.  Once the VM has stopped there is no way back for it: then
 * programs lose the GPU, and the VM is saved.
 */
void vg_stub_judge(VgStubState *s)
{
    s->vmstate.unmigratable = s->misplaced ||
        (runstate_is_running() && vg_stub_busy(&s->core));
}

/* ---- where the guest maps it ---- */

/* The whole BAR: one that something else covers in part stays slow. */
static bool is_ram(VgStubState *s, MemoryRegionSection *section)
{
    return section->mr == &s->ram && section->offset_within_region == 0 &&
           int128_eq(section->size, int128_make64(s->size));
}

/* `rc` of what the backing was to do: the pages are somewhere, and we know where. */
static void moved(VgStubState *s, int rc)
{
    if (rc < 0) {
        s->misplaced = true;
        vg_stub_judge(s);
        vg_stub_disable(&s->core, "cannot move the shared region, no GPU for "
                        "this VM until it is started again", strerror(-rc));
        return;
    }
    vg_stub_moved(&s->core, s->backing.gfn);
}

/* While they are away, the pages come to where the BAR is then. */
static void place(VgStubState *s, uint64_t gfn)
{
    s->bar_gfn = gfn;
    if (!s->core.disabled && !s->core.withdrawn && !s->core.moving) {
        moved(s, s->backing.ops->place(&s->backing, gfn));
    }
}

static void on_mapped(MemoryListener *listener, MemoryRegionSection *section)
{
    VgStubState *s = container_of(listener, VgStubState, listener);

    if (is_ram(s, section)) {
        place(s, section->offset_within_address_space / 4096);
    }
}

static void on_unmapped(MemoryListener *listener, MemoryRegionSection *section)
{
    VgStubState *s = container_of(listener, VgStubState, listener);

    if (is_ram(s, section)) {
        place(s, 0);
    }
}

/* ---- out of the way, and back ---- */

/*
 * An access to what is not there is emulated by Xen, which does not know all
 * instructions: programs are killed by it.  So they stand still first, for which
 * their wardens need a moment of the guest's; not longer, if they do not answer.
 */
static void await_parked(VgStubState *s)
{
    int ms;

    for (ms = 0; ms < PARK_MS && !vg_stub_is_parked(&s->core); ms++) {
        g_usleep(1000);
    }
    if (ms == PARK_MS) {
        warn_report("vgpu-stub: programs of the guest go on while the VM is "
                    "saved or migrated, and may crash");
    }
}

static void look_again_in(VgStubState *s, int64_t ms)
{
    timer_mod(s->away, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + ms);
}

/* 0, or -errno. */
static int hide(VgStubState *s)
{
    int rc;

    if (!s->backing.ops->hide || s->core.disabled || s->core.withdrawn ||
        s->core.moving) {
        return 0;
    }
    vg_stub_move_begins(&s->core);
    look_again_in(s, 1000ll * s->away_max);
    if (runstate_is_running()) {
        await_parked(s);
    }
    rc = s->backing.ops->hide(&s->backing);
    moved(s, rc);
    return rc;
}

static void come_back(VgStubState *s)
{
    if (!s->core.moving) {
        return;
    }
    if (!s->core.disabled) {
        moved(s, s->backing.ops->place(&s->backing, s->bar_gfn));
    }
    vg_stub_move_ends(&s->core);
}

/*
 * Who migrates a VM and dies (libxl's helper does, by SIGPIPE, when the other side
 * breaks down) tells nobody.  If he lives after all, his migration fails: the
 * pages come, and the other side has no room for them.
 */
static void settle(void *opaque)
{
    VgStubState *s = opaque;

    if (!runstate_is_running()) {
        look_again_in(s, SETTLE_MS);
        return;
    }
    vg_stop_dirty_log();
    come_back(s);
}

/* The first that QEMU hears of it from libxl, and the last. */
static void on_begin(MemoryListener *listener)
{
    hide(container_of(listener, VgStubState, listener));
}

static void on_end(MemoryListener *listener)
{
    VgStubState *s = container_of(listener, VgStubState, listener);

    timer_del(s->away);
    come_back(s);
}

void vg_stub_init_listener(VgStubState *s)
{
    s->listener = (MemoryListener) {
        VG_LISTENER_NAME("vgpu-stub")
        .region_add = on_mapped,
        .region_del = on_unmapped,
        .log_global_start = on_begin,
        .log_global_stop = on_end,
        .priority = 20,
    };
    memory_listener_register(&s->listener, &address_space_memory);
}

/* ---- /machine's property vgpu-leaving ---- */

/*
 * For toolstacks that do not tell QEMU of a migration (xenopsd): a hook of theirs
 * does, before they ask for the guest's highest frame.  What is hidden then would
 * be found, so the pages leave the guest for good.  Refused while a program
 * computes: there would be no way to have it stand still just as long.
 */
static void leave(VgStubState *s)
{
    int rc;

    if (!s->backing.ops->drop || s->core.withdrawn || s->core.moving) {
        return;
    }
    rc = s->backing.ops->drop(&s->backing);
    s->misplaced |= rc < 0;
    vg_stub_withdraw(&s->core);
    vg_stub_judge(s);
    warn_report("vgpu-stub: the VM is being migrated; if it goes on here, it "
                "has no GPU until it is started again%s%s",
                rc < 0 ? ": " : "", rc < 0 ? strerror(-rc) : "");
}

static void get_leaving(Object *obj, Visitor *v, const char *name, void *opaque,
                        Error **errp)
{
    VgStubState *s = opaque;
    bool leaving = s->core.withdrawn;

    visit_type_bool(v, name, &leaving, errp);
}

static void set_leaving(Object *obj, Visitor *v, const char *name, void *opaque,
                        Error **errp)
{
    VgStubState *s = opaque;
    Error *wrong = NULL;
    bool leaving;

    visit_type_bool(v, name, &leaving, &wrong);
    if (wrong) {
        error_propagate(errp, wrong);
    } else if (leaving && vg_stub_busy(&s->core)) {
        error_setg(errp, "a program of this VM uses the GPU");
    } else if (leaving) {
        leave(s);
    }
}

/* ---- what is saved ---- */

static int pre_save(void *opaque)
{
    VgStubState *s = opaque;

    vg_stub_save(&s->core, &s->saved, s->owner);
    return s->misplaced ? -EIO : hide(s);
}

static int post_load(void *opaque, int version_id)
{
    VgStubState *s = opaque;

    vg_stub_restore(&s->core, &s->saved, s->owner);
    return 0;
}

/* GPU state lives in executors on this host and does not travel. */
static const VMStateDescription vmstate = {
    .name = TYPE_VG_STUB,
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = pre_save,
    .post_load = post_load,
    .fields = (VMStateField[]) {
        VMSTATE_PCI_DEVICE(parent_obj, VgStubState),
        VMSTATE_UINT32(saved.epoch, VgStubState),
        VMSTATE_UINT16_ARRAY(saved.generation, VgStubState, VG_SLOTS_MAX),
        VMSTATE_UINT8_ARRAY(saved.held, VgStubState, VG_SLOTS_MAX),
        VMSTATE_UINT32_EQUAL(extents, VgStubState,
                             "vgpu-stub: size and slots differ"),
        VMSTATE_VARRAY_UINT32(owner, VgStubState, extents, 1,
                              vmstate_info_uint8, uint8_t),
        VMSTATE_END_OF_LIST()
    },
};

/* A VM that was stopped to be saved and runs here again has not gone. */
static void run_changed(void *opaque, VG_RUNNING running, RunState state)
{
    VgStubState *s = opaque;

    if (running && s->core.moving) {
        come_back(s);
        look_again_in(s, SETTLE_MS);    /* a log may have been forgotten */
    }
    vg_stub_judge(s);
}

/* A description of its own: whether it can be saved changes. */
void vg_stub_init_vmstate(VgStubState *s)
{
    s->extents = s->core.layout.extent_count;
    s->owner = g_malloc0(s->extents);
    s->vmstate = vmstate;
    s->away = timer_new_ms(QEMU_CLOCK_REALTIME, settle, s);
    s->on_run = qemu_add_vm_change_state_handler(run_changed, s);
    vmstate_register(VG_VMSTATE_OF(s), VMSTATE_INSTANCE_ID_ANY, &s->vmstate, s);
    /* A second device of a VM has none; toolstacks make one. */
    object_property_try_add(qdev_get_machine(), "vgpu-leaving", "bool",
                            get_leaving, set_leaving, NULL, s, NULL);
}

void vg_stub_fini_vmstate(VgStubState *s)
{
    vmstate_unregister(VG_VMSTATE_OF(s), &s->vmstate, s);
    qemu_del_vm_change_state_handler(s->on_run);
    timer_free(s->away);
    s->away = NULL;
    g_free(s->owner);
    s->owner = NULL;
}
