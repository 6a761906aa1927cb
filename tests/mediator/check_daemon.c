/* SPDX-License-Identifier: MIT */
/* The daemon's parts that need no process: settings, policy, VMs, store, sums, slots. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "mediator/base/file.h"
#include "mediator/base/util.h"
#include "mediator/daemon/backend.h"
#include "mediator/daemon/config.h"
#include "mediator/daemon/mediator.h"
#include "mediator/daemon/policy.h"
#include "mediator/daemon/scrape.h"
#include "mediator/daemon/slotmem.h"
#include "mediator/daemon/store.h"
#include "mediator/daemon/usage.h"
#include "mediator/daemon/vm.h"
#include "protocol/vg_api.h"

static char why[512];

/* ---- settings ---- */

static int load(struct vg_config *c, const char *text)
{
    char path[64];
    int rc;

    snprintf(path, sizeof(path), "/tmp/vgpu-conf-%d", (int)getpid());
    ck_assert_int_eq(vg_file_replace(path, text, 0600), 0);
    vg_config_init(c);
    why[0] = '\0';
    rc = vg_config_load(c, path, why, sizeof(why));
    unlink(path);
    return rc;
}

static void complains(const char *text, const char *line, const char *what)
{
    struct vg_config c;

    ck_assert_msg(load(&c, text) == -EINVAL, "accepted: %s", text);
    ck_assert_msg(strstr(why, line) && strstr(why, what), "%s: %s", text, why);
}

START_TEST(config_values)
{
    struct vg_config c;

    ck_assert_msg(load(&c, "socket = /x/m.sock\nbackend=cuda\nauto_register = no\n"
                           "max_clients=7\nregion_mib = 16\ndefault_weight=80\n"
                           "default_priority = high\nlog_level=debug\ngroup=\n") == 0, "%s", why);
    ck_assert_str_eq(c.socket, "/x/m.sock");
    ck_assert_uint_eq(c.backend, VG_BACKEND_CUDA);
    ck_assert_uint_eq(c.auto_register, 0);
    ck_assert_uint_eq(c.max_clients, 7);
    ck_assert_uint_eq(c.policy.weight, 80);
    ck_assert_uint_eq(c.policy.priority, VG_PRIORITY_HIGH);
    ck_assert_str_eq(c.control_socket, "/var/vgpu/control.sock");
}
END_TEST

START_TEST(config_errors)
{
    char longest[300] = "socket = ";
    struct vg_config c;

    complains("a = b", ":1: ", "no setting \"a\"");
    complains("\n\nbackend = gpu", ":3: backend: ", "\"gpu\" is not one of auto, cuda, soft");
    complains("auto_register = true", ":1: ", "yes, no");
    complains("max_clients = 0", ":1: max_clients: ", "from 1 to 4096");
    complains("max_clients = 5000", ":1: ", "\"5000\"");
    complains("region_mib = 15", ":1: ", "from 16 to 65536");
    complains("region_mib = 64 MiB", ":1: ", "\"64 MiB\"");
    complains("default_weight = 101", ":1: default_weight: ", "from 1 to 100");
    complains("default_priority = top", ":1: default_priority: ", "high, medium, low");
    complains("default_colour = red", ":1: ", "no setting");
    complains("socket /x", ":1: ", "key = value");
    memset(longest + 9, 'x', 200);
    complains(longest, ":1: socket: ", "longer than 107");
    vg_config_init(&c);
    ck_assert_int_eq(vg_config_load(&c, "/nowhere/x.conf", why, sizeof(why)), -ENOENT);
    ck_assert_ptr_nonnull(strstr(why, "/nowhere/x.conf"));
}
END_TEST

/* A value that is refused leaves the setting as it was. */
START_TEST(config_untouched_on_error)
{
    struct vg_config c, before;

    vg_config_init(&c);
    before = c;
    ck_assert_int_lt(vg_config_set(&c, "max_clients", "x", why, sizeof(why)), 0);
    ck_assert_int_lt(vg_config_set(&c, "default_pool", "a b", why, sizeof(why)), 0);
    ck_assert_int_lt(vg_config_set(&c, "log_level", "loud", why, sizeof(why)), 0);
    ck_assert_mem_eq(&c, &before, sizeof(c));
}
END_TEST

START_TEST(backend_choice)
{
    struct vg_backend b;
    struct vg_config c;

    vg_config_init(&c);
    c.backend = VG_BACKEND_SOFT;
    strcpy(c.soft_library, "/some/where/lib.so");
    ck_assert_int_eq(vg_backend_find(&c, &b, why, sizeof(why)), 0);
    ck_assert(b.software);
    ck_assert_str_eq(b.library, "/some/where/lib.so");
    c.backend = VG_BACKEND_CUDA;
    strcpy(c.cuda_library, "/other/libcuda.so.1");
    ck_assert_int_eq(vg_backend_find(&c, &b, why, sizeof(why)), 0);
    ck_assert(!b.software);
    ck_assert_str_eq(b.library, "/other/libcuda.so.1");
    ck_assert_str_eq(vg_backend_name(&b), "cuda");
}
END_TEST

/* ---- VMs ---- */

START_TEST(vms_are_sorted_and_bounded)
{
    struct vg_policy policy;
    struct vg_vms vms;
    struct vg_vm *vm;
    char name[16];

    vg_policy_init(&policy);
    vg_vms_init(&vms);
    for (unsigned i = 0; i < VG_VMS_MAX; i++) {
        snprintf(name, sizeof(name), "vm%u", (i * 577) % VG_VMS_MAX);
        vm = vg_vms_add(&vms, name, &policy);
        ck_assert_ptr_nonnull(vm);
        vm->registered = i % 2 == 0;
        vm->peers = i % 4 == 1;
        vm->since = i;
    }
    char last[64] = "";
    vg_list_for_each(vm, &vms.list, link) {
        ck_assert_int_lt(strcmp(last, vm->name), 0);
        strcpy(last, vm->name);
    }
    /* Room comes from the oldest that is neither registered nor in use: i == 3. */
    snprintf(name, sizeof(name), "vm%u", 3 * 577 % VG_VMS_MAX);
    ck_assert_ptr_nonnull(vg_vms_add(&vms, "one-more", &policy));
    ck_assert_ptr_null(vg_vms_find(&vms, name));
    ck_assert_uint_eq(vms.count, VG_VMS_MAX);
    vg_list_for_each(vm, &vms.list, link)
        vm->registered = true;
    ck_assert_ptr_null(vg_vms_add(&vms, "too-many", &policy));
    vg_vms_fini(&vms);
    ck_assert_uint_eq(vms.count, 0);
}
END_TEST

static void store_round_trip(struct vg_vms *vms, const char *dir)
{
    struct vg_policy policy;

    vg_policy_init(&policy);
    strcpy(policy.pool, "B");
    policy.priority = VG_PRIORITY_LOW;
    policy.weight = 3;
    policy.rate = 1000;
    policy.queue_depth = 16;
    policy.memory_mib = 2048;
    vg_vms_init(vms);
    vg_vms_add(vms, "kept", &policy)->registered = true;
    vg_vms_add(vms, "met", &policy);
    ck_assert_int_eq(vg_store_save(dir, vms), 0);
    vg_vms_fini(vms);
    vg_policy_init(&policy);
    ck_assert_msg(vg_store_load(dir, vms, &policy, why, sizeof(why)) == 0, "%s", why);
}

START_TEST(store_keeps_what_is_registered)
{
    char dir[] = "/tmp/vgpu-store-XXXXXX", path[64];
    struct vg_vms vms;
    struct vg_vm *vm;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    store_round_trip(&vms, dir);
    ck_assert_uint_eq(vms.count, 1);
    vm = vg_vms_find(&vms, "kept");
    ck_assert_ptr_nonnull(vm);
    ck_assert(vm->registered);
    ck_assert_str_eq(vm->policy.pool, "B");
    ck_assert_uint_eq(vm->policy.priority, VG_PRIORITY_LOW);
    ck_assert_uint_eq(vm->policy.weight, 3);
    ck_assert_uint_eq(vm->policy.rate, 1000);
    ck_assert_uint_eq(vm->policy.queue_depth, 16);
    ck_assert_uint_eq(vm->policy.memory_mib, 2048);
    vg_vms_fini(&vms);
    snprintf(path, sizeof(path), "%s/vms.json", dir);
    unlink(path);
    rmdir(dir);
}
END_TEST

/* A full disk: an error, and what was there is there still. */
START_TEST(store_on_a_full_disk)
{
    char dir[] = "/tmp/vgpu-store-XXXXXX", path[64], name[16];
    struct rlimit none = { 600, 600 };
    struct vg_policy policy;
    struct vg_vms vms;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    vg_policy_init(&policy);
    vg_vms_init(&vms);
    vg_vms_add(&vms, "first", &policy)->registered = true;
    ck_assert_int_eq(vg_store_save(dir, &vms), 0);
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "vm%u", i);
        vg_vms_add(&vms, name, &policy)->registered = true;
    }
    ck_assert_int_eq(vg_store_save(dir, &vms), -EFBIG);
    vg_vms_fini(&vms);
    ck_assert_msg(vg_store_load(dir, &vms, &policy, why, sizeof(why)) == 0, "%s", why);
    ck_assert_uint_eq(vms.count, 1);
    vg_vms_fini(&vms);
    snprintf(path, sizeof(path), "%s/vms.json", dir);
    unlink(path);
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(store_refuses_damage)
{
    static const char *const bad[] = {
        "", "{", "[]", "{}", "{\"vms\":7}", "{\"vms\":[7]}", "{\"vms\":[{}]}",
        "{\"vms\":[{\"name\":\"a b\"}]}", "{\"vms\":[{\"name\":\"a\"},{\"name\":\"a\"}]}",
        "{\"vms\":[{\"name\":\"a\",\"weight\":1000}]}",
    };
    char dir[] = "/tmp/vgpu-store-XXXXXX", path[64], aside[128];
    struct vg_policy policy;
    struct vg_vms vms;

    vg_policy_init(&policy);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/vms.json", dir);
    for (unsigned i = 0; i < VG_ARRAY_LEN(bad); i++) {
        vg_vms_init(&vms);
        ck_assert_int_eq(vg_file_replace(path, bad[i], 0600), 0);
        why[0] = '\0';
        ck_assert_msg(vg_store_load(dir, &vms, &policy, why, sizeof(why)) < 0, "%s", bad[i]);
        ck_assert_ptr_nonnull(strstr(why, path));
        vg_vms_fini(&vms);
    }
    /* What makes sense is taken all the same, and the file can be put aside. */
    vg_vms_init(&vms);
    ck_assert_int_eq(vg_file_replace(path, "{\"vms\":[{\"name\":\"a\",\"weight\":9},7,{\"name\":\"b\","
                                           "\"weight\":0},{\"name\":\"c\"}]}", 0600), 0);
    ck_assert_int_eq(vg_store_load(dir, &vms, &policy, why, sizeof(why)), -EINVAL);
    ck_assert_uint_eq(vms.count, 2);
    ck_assert_uint_eq(vg_vms_find(&vms, "a")->policy.weight, 9);
    ck_assert_ptr_nonnull(vg_vms_find(&vms, "c"));
    vg_vms_fini(&vms);
    ck_assert_int_eq(vg_store_set_aside(dir, aside, sizeof(aside)), 0);
    ck_assert_int_eq(access(aside, F_OK), 0);
    ck_assert_int_ne(access(path, F_OK), 0);
    unlink(aside);
    vg_vms_init(&vms);
    ck_assert_int_eq(vg_store_load(dir, &vms, &policy, why, sizeof(why)), 0);
    ck_assert_int_eq(vg_store_load("", &vms, &policy, why, sizeof(why)), 0);
    rmdir(dir);
}
END_TEST

/* ---- caps ---- */

START_TEST(caps_bound_what_is_granted)
{
    struct vg_policy cap, p;

    vg_policy_init_caps(&cap);
    vg_policy_init(&p);
    p.weight = 100;
    p.priority = VG_PRIORITY_HIGH;
    p.memory_mib = 1u << 20;
    ck_assert_uint_eq(vg_policy_clamp(&p, &cap), 0);
    cap.weight = 30;
    cap.priority = VG_PRIORITY_MEDIUM;
    cap.memory_mib = 512;
    cap.rate = 1000;
    cap.burst = 50;
    ck_assert_int_eq(__builtin_popcount(vg_policy_clamp(&p, &cap)), 4);
    ck_assert_uint_eq(p.weight, 30);
    ck_assert_uint_eq(p.priority, VG_PRIORITY_MEDIUM);
    ck_assert_uint_eq(p.memory_mib, 512);
    /* No limit is more than any. */
    ck_assert_uint_eq(p.rate, 1000);
    ck_assert_uint_eq(p.burst, 0);
    ck_assert_uint_eq(p.queue_depth, 0);
    p.priority = VG_PRIORITY_LOW;
    p.rate = 10;
    p.burst = 60;
    ck_assert_int_eq(__builtin_popcount(vg_policy_clamp(&p, &cap)), 1);
    ck_assert_uint_eq(p.priority, VG_PRIORITY_LOW);
    ck_assert_uint_eq(p.rate, 10);
    ck_assert_uint_eq(p.burst, 50);
    ck_assert_str_eq(p.pool, "A");
}
END_TEST

START_TEST(caps_are_settings)
{
    struct vg_config c;

    vg_config_init(&c);
    ck_assert_int_eq(vg_config_set(&c, "cap_memory_mib", "4096", why, sizeof(why)), 0);
    ck_assert_int_eq(vg_config_set(&c, "cap_priority", "low", why, sizeof(why)), 0);
    ck_assert_uint_eq(c.cap.memory_mib, 4096);
    ck_assert_uint_eq(c.cap.priority, VG_PRIORITY_LOW);
    ck_assert_int_lt(vg_config_set(&c, "cap_weight", "101", why, sizeof(why)), 0);
    ck_assert_ptr_nonnull(strstr(why, "cap_weight"));
    ck_assert_int_lt(vg_config_set(&c, "cap_pool", "A", why, sizeof(why)), 0);
    ck_assert_int_lt(vg_config_set(&c, "max_processes", "257", why, sizeof(why)), 0);
}
END_TEST

/* ---- sums ---- */

START_TEST(usage_sums)
{
    static struct vg_stats a, b;
    uint64_t classes[VG_CLASS_COUNT];
    struct vg_usage u;

    memset(&u, 0, sizeof(u));
    memset(&a, 0, sizeof(a));
    a.calls = 5;
    a.memory = 100;
    a.memory_peak = 300;
    a.call[VG_STATS_CALLS - 1] = 1;
    a.call[VG_CALL_LAUNCH] = 7;
    a.call[VG_STATS_INTERNAL + VG_INDEX_cuMemAlloc_v2] = 3;
    b = a;
    b.memory_peak = 200;
    vg_usage_add(&u, &a);
    vg_usage_add_ended(&u, &b);
    ck_assert_uint_eq(u.executors, 2);
    ck_assert_uint_eq(u.sum.calls, 10);
    ck_assert_uint_eq(u.sum.memory, 100);
    ck_assert_uint_eq(u.sum.memory_peak, 300);
    ck_assert_uint_eq(u.sum.call[VG_STATS_CALLS - 1], 2);
    vg_usage_classes(&u, classes);
    ck_assert_uint_eq(classes[VG_CLASS_LAUNCH], 14);
    ck_assert_uint_eq(classes[VG_CLASS_ALLOC], 6);
    ck_assert_uint_eq(classes[VG_CLASS_OTHER], 2);
    ck_assert_uint_eq(classes[VG_CLASS_COPY], 0);
}
END_TEST

/* What others chose stands between quotes and cannot end them. */
START_TEST(metrics_escape_labels)
{
    static struct vg_mediator m;
    struct vg_text t = { .at = NULL };

    vg_config_init(&m.config);
    vg_list_init(&m.clients);
    vg_list_init(&m.pool.sessions);
    vg_vms_init(&m.vms);
    vg_turns_init(&m.turns);
    strcpy(m.device, "a\"b\\c\nd");
    vg_vms_add(&m.vms, "vm1", &m.config.policy);
    vg_scrape(&m, &t);
    ck_assert(!t.full);
    ck_assert_ptr_nonnull(strstr(t.at, ",device=\"a\\\"b\\\\c\\nd\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(t.at, "\nvgpu_vm_weight{vm=\"vm1\"} "));
    vg_vms_fini(&m.vms);
    free(t.at);
}
END_TEST

/* Bounds are powers of two that at least so many values lie below; nothing overflows. */
START_TEST(usage_percentiles)
{
    struct vg_hist h;

    memset(&h, 0, sizeof(h));
    ck_assert_uint_eq(vg_usage_percentile(&h, 50), 0);
    for (unsigned i = 0; i < 98; i++)
        vg_hist_add(&h, 1000, 1);
    vg_hist_add(&h, 5000, 2);
    ck_assert_uint_eq(vg_usage_count(&h), 100);
    ck_assert_uint_eq(h.sum, 98000 + 10000);
    ck_assert_uint_eq(vg_usage_percentile(&h, 50), 1024);
    ck_assert_uint_eq(vg_usage_percentile(&h, 98), 1024);
    ck_assert_uint_eq(vg_usage_percentile(&h, 99), 8192);
    vg_hist_add(&h, UINT64_MAX, 1);
    vg_hist_add(&h, 0, 1);
    ck_assert_uint_eq(h.bucket[0], 1);
    ck_assert_uint_eq(h.bucket[VG_HIST_BUCKETS - 1], 1);
    ck_assert_uint_eq(vg_usage_percentile(&h, 100), (uint64_t)1 << (VG_HIST_BUCKETS - 1));
    for (unsigned i = 0; i < VG_HIST_BUCKETS; i++)
        h.bucket[i] = UINT64_MAX;
    vg_usage_percentile(&h, 99);
}
END_TEST

#define RETIRED 0x0eu /* said that a callback had run: the slot tells it now */

START_TEST(every_call_has_a_name)
{
    for (unsigned i = 0; i < VG_API_COUNT; i++)
        ck_assert_str_eq(vg_usage_call_name(VG_STATS_INTERNAL + i), vg_api_rows[i].symbol);
    for (unsigned id = VG_CALL_PAD; id <= VG_CALL_UNALIAS; id++)
        if (id != RETIRED)
            ck_assert_msg(vg_usage_call_name(id), "internal call %u", id);
    ck_assert_ptr_null(vg_usage_call_name(0));
    ck_assert_ptr_null(vg_usage_call_name(VG_STATS_INTERNAL + VG_API_COUNT));
    ck_assert_ptr_null(vg_usage_call_name(UINT32_MAX));
}
END_TEST

/* ---- slots ---- */

START_TEST(slot_states)
{
    struct vg_region_layout l;
    struct vg_slot *s;
    struct vg_regmem m = { .fd = -1 };
    void *base;
    int fd;

    ck_assert(vg_region_layout_init(&l, VG_REGION_SIZE_MIN, 3));
    fd = vg_slotmem_new(&l);
    ck_assert_int_ge(fd, 0);
    m.fd = fd;
    ck_assert_int_eq(vg_slotmem_check(fd, &l), 0);
    base = mmap(NULL, l.data_off, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ck_assert_uint_eq(((struct vg_region_header *)base)->magic, VG_REGION_MAGIC);
    s = vg_region_slot(base, &l, 2);
    ck_assert_int_eq(vg_slotmem_set(&m, &l, 2, VG_SLOT_ATTACHING), 0);
    ck_assert_uint_eq(s->state, VG_SLOT_ATTACHING);
    ck_assert_uint_eq(vg_region_slot(base, &l, 1)->state, VG_SLOT_FREE);
    ck_assert_int_eq(vg_slotmem_gone(&m, &l, 2, VG_GONE_CRASHED), 0);
    ck_assert_uint_eq(s->state, VG_SLOT_GONE);
    ck_assert_uint_eq(s->reason, VG_GONE_CRASHED);
    /* The executor's own reason is the better one. */
    ck_assert_int_eq(vg_slotmem_gone(&m, &l, 2, VG_GONE_TIMEOUT), 0);
    ck_assert_uint_eq(s->reason, VG_GONE_CRASHED);
}
END_TEST

/* What could block a write, or is too small, or not ours to write, is no region. */
START_TEST(slot_memory)
{
    struct vg_region_layout l;
    char name[] = "vgpu-file-XXXXXX", path[64];
    int fd, disk, fds[2];

    ck_assert(vg_region_layout_init(&l, VG_REGION_SIZE_MIN, 3));
    fd = vg_memfd_new("small", VG_REGION_SIZE_MIN - 1);
    ck_assert_int_eq(vg_slotmem_check(fd, &l), -EINVAL);
    fd = vg_memfd_new("good", VG_REGION_SIZE_MIN);
    ck_assert_int_eq(vg_slotmem_check(fd, &l), 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    ck_assert_int_eq(vg_slotmem_check(open(path, O_RDONLY), &l), -EBADF);
    ck_assert_int_eq(vg_slotmem_check(open(path, O_RDWR | O_APPEND), &l), -EBADF);
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(vg_slotmem_check(fds[1], &l), -EBADF);
    ck_assert_int_eq(vg_slotmem_check(open("/dev/zero", O_RDWR), &l), -EBADF);
    ck_assert_int_eq(vg_slotmem_check(-1, &l), -EBADF);
    /* /proc is no tmpfs, whatever the working directory is on. */
    ck_assert_int_eq(vg_slotmem_check(open("/proc/self/comm", O_RDWR), &l), -EBADF);
    disk = mkstemp(name);
    if (disk >= 0) {
        struct statfs fs;

        unlink(name);
        ck_assert_int_eq(ftruncate(disk, VG_REGION_SIZE_MIN), 0);
        ck_assert_int_eq(fstatfs(disk, &fs), 0);
        ck_assert_int_eq(vg_slotmem_check(disk, &l), fs.f_type == TMPFS_MAGIC ? 0 : -EBADF);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        config_values, config_errors, config_untouched_on_error, backend_choice,
        vms_are_sorted_and_bounded, store_keeps_what_is_registered, store_refuses_damage,
        store_on_a_full_disk,
        caps_bound_what_is_granted, caps_are_settings,
        usage_sums, usage_percentiles, metrics_escape_labels, every_call_has_a_name, slot_states,
        slot_memory,
    };
    Suite *s = suite_create("daemon");
    TCase *tc = tcase_create("parts");
    SRunner *r = srunner_create(s);
    int failed;

    for (unsigned i = 0; i < VG_ARRAY_LEN(tests); i++)
        tcase_add_test(tc, tests[i]);
    suite_add_tcase(s, tc);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
