/* SPDX-License-Identifier: MIT */
/*
 * Faults, quarantine and sick GPUs on disk: state_dir/health.json, written as a whole and
 * atomically. Times there are of the wall clock, as the daemon's own begins anew at each
 * boot; a wall clock that was set back makes faults younger, never older than they are.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "mediator.h"
#include "mediator/base/file.h"
#include "mediator/base/number.h"
#include "report.h"

#define FILE_MAX (16u << 20)    /* bytes: of the most VMs with the fullest ledgers */
#define BOOT_MAX 48u

static int file_path(char *path, size_t cap, const char *state_dir)
{
    return snprintf(path, cap, "%s/health.json", state_dir) < (int)cap ? 0 : -ENAMETOOLONG;
}

static uint64_t wall_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* "" if the kernel does not say. */
static void boot_id(char id[BOOT_MAX])
{
    vg_auto_free char *text = NULL;

    id[0] = '\0';
    if (vg_file_read("/proc/sys/kernel/random/boot_id", 256, &text) == 0)
        snprintf(id, BOOT_MAX, "%.36s", text);
}

/* ---- out ---- */

static json_object *fault_out(const struct vg_ledger_entry *e, uint64_t now, uint64_t wall)
{
    json_object *o = json_object_new_object();
    uint64_t age_ms = (now - e->at) / VG_NS_PER_MS;

    json_object_object_add(o, "kind", json_object_new_string(vg_fault_name(e->kind)));
    json_object_object_add(o, "points", json_object_new_int64(e->points));
    json_object_object_add(o, "time_ms",
                           json_object_new_int64((int64_t)(age_ms < wall ? wall - age_ms : 0)));
    return o;
}

static json_object *vm_out(const struct vg_vm *vm, uint64_t now, uint64_t wall)
{
    const struct vg_vm_health *h = &vm->health;
    json_object *o = json_object_new_object(), *faults = json_object_new_array();

    json_object_object_add(o, "name", json_object_new_string(vm->name));
    json_object_object_add(o, "quarantined", json_object_new_boolean(h->quarantined));
    json_object_object_add(o, "by_admin", json_object_new_boolean(h->by_admin));
    json_object_object_add(o, "reason", json_object_new_string(h->reason));
    json_object_object_add(o, "since", json_object_new_int64(h->since));
    for (unsigned i = 0; i < h->ledger.count; i++)
        json_object_array_add(faults, fault_out(&h->ledger.entry[i], now, wall));
    json_object_object_add(o, "faults", faults);
    return o;
}

static json_object *vms_out(struct vg_mediator *m)
{
    json_object *list = json_object_new_array();
    uint64_t now = vg_now(), wall = wall_ms();
    struct vg_vm *vm;

    vg_list_for_each(vm, &m->vms.list, link) {
        if (vm->health.quarantined || vm->health.ledger.count > 0)
            json_object_array_add(list, vm_out(vm, now, wall));
    }
    return list;
}

int vg_health_save(struct vg_mediator *m)
{
    char path[PATH_MAX], boot[BOOT_MAX];
    json_object *root;
    int rc;

    if (!m->config.state_dir[0])
        return 0;
    rc = file_path(path, sizeof(path), m->config.state_dir);
    if (rc == 0)
        rc = vg_file_make_parent(path, 0755);
    if (rc < 0)
        return rc;
    boot_id(boot);
    root = json_object_new_object();
    json_object_object_add(root, "version", json_object_new_int(1));
    json_object_object_add(root, "vms", vms_out(m));
    json_object_object_add(root, "boot", json_object_new_string(boot));
    json_object_object_add(root, "gpus", vg_gpus_to(&m->health.gpus));
    rc = vg_file_replace(path, json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY), 0644);
    json_object_put(root);
    return rc;
}

/* ---- in ---- */

static int64_t number_in(json_object *o, const char *key)
{
    json_object *value;

    return json_object_object_get_ex(o, key, &value) ? json_object_get_int64(value) : 0;
}

static bool flag_in(json_object *o, const char *key)
{
    json_object *value;

    return json_object_object_get_ex(o, key, &value) && json_object_get_boolean(value);
}

static json_object *list_in(json_object *o, const char *key)
{
    json_object *list;

    return json_object_object_get_ex(o, key, &list) && json_object_is_type(list, json_type_array)
               ? list : NULL;
}

/* One that is older than this boot gets a time before it: differences are what counts. */
static void faults_in(struct vg_ledger *l, json_object *list)
{
    size_t n = list ? (size_t)json_object_array_length(list) : 0;
    uint64_t now = vg_now(), wall = wall_ms();

    for (size_t i = 0; i < n; i++) {
        json_object *o = json_object_array_get_idx(list, (int)i);
        const char *name = vg_report_text(o, "kind");
        unsigned kind = name ? vg_fault_kind_of(name) : VG_FAULT_KINDS;
        int64_t points = number_in(o, "points"), time_ms = number_in(o, "time_ms");
        uint64_t age_ms = time_ms > 0 && (uint64_t)time_ms < wall ? wall - (uint64_t)time_ms : 0;

        if (kind < VG_FAULT_KINDS && points > 0 && points <= INT32_MAX)
            vg_ledger_put(l, (enum vg_fault_kind)kind, (unsigned)points, now - age_ms * VG_NS_PER_MS);
    }
}

static int vm_in(struct vg_mediator *m, json_object *o, char *why, size_t cap)
{
    const char *name = vg_report_text(o, "name"), *reason = vg_report_text(o, "reason");
    struct vg_vm *vm;

    if (!name || !vg_name_ok(name, VG_VM_NAME_MAX)) {
        snprintf(why, cap, "name \"%.80s\" is not allowed", name ? name : "");
        return -EINVAL;
    }
    vm = vg_vms_find(&m->vms, name);
    if (!vm)
        vm = vg_vms_add(&m->vms, name, &m->config.policy);
    if (!vm)
        return -ENOMEM;
    vm->health.quarantined = flag_in(o, "quarantined");
    vm->health.by_admin = flag_in(o, "by_admin");
    vm->health.since = number_in(o, "since");
    snprintf(vm->health.reason, sizeof(vm->health.reason), "%s", reason ? reason : "");
    vm->health.ledger.count = 0;
    faults_in(&vm->health.ledger, list_in(o, "faults"));
    return 0;
}

static enum vg_gpu_state state_in(const char *name)
{
    enum vg_gpu_state state = VG_GPU_LOST;

    while (state > VG_GPU_OK && strcmp(name, vg_gpu_state_name(state)) != 0)
        state--;
    return state;
}

/* A GPU comes out of a new start of the host as if it were new. */
static void gpus_in(struct vg_mediator *m, json_object *root)
{
    json_object *list = list_in(root, "gpus");
    const char *boot = vg_report_text(root, "boot");
    char now[BOOT_MAX];

    boot_id(now);
    if (!list || !boot || strcmp(boot, now) != 0)
        return;
    for (size_t i = 0; i < (size_t)json_object_array_length(list); i++) {
        json_object *o = json_object_array_get_idx(list, (int)i);
        const char *name = vg_report_text(o, "gpu"), *state = vg_report_text(o, "state");
        struct vg_gpu *gpu = name && state ? vg_gpus_find(&m->health.gpus, name) : NULL;

        if (!gpu)
            continue;
        gpu->state = state_in(state);
        gpu->xid = (unsigned)number_in(o, "xid");
        gpu->xids = (uint64_t)number_in(o, "xids");
        gpu->since = number_in(o, "since");
    }
}

static int root_in(struct vg_mediator *m, json_object *root, char *why, size_t cap)
{
    json_object *list = list_in(root, "vms");
    int rc = 0;

    if (!list) {
        snprintf(why, cap, "there is no list \"vms\"");
        return -EINVAL;
    }
    for (size_t i = 0; i < (size_t)json_object_array_length(list) && rc == 0; i++)
        rc = vm_in(m, json_object_array_get_idx(list, (int)i), why, cap);
    gpus_in(m, root);
    return rc;
}

int vg_health_load(struct vg_mediator *m, char *why, size_t why_cap)
{
    vg_auto_free char *text = NULL;
    char path[PATH_MAX], reason[256] = "no memory";
    json_object *root;
    int rc;

    if (!m->config.state_dir[0])
        return 0;
    rc = file_path(path, sizeof(path), m->config.state_dir);
    if (rc == 0)
        rc = vg_file_read(path, FILE_MAX, &text);
    if (rc == -ENOENT)
        return 0;
    if (rc < 0) {
        snprintf(why, why_cap, "%s: %s", path, strerror(-rc));
        return rc;
    }
    root = vg_report_parse(text, strlen(text), reason, sizeof(reason));
    rc = root ? root_in(m, root, reason, sizeof(reason)) : -EINVAL;
    json_object_put(root);
    if (rc < 0)
        snprintf(why, why_cap, "%s: %s", path, reason);
    return rc;
}
