/* SPDX-License-Identifier: MIT */
/* How a warden holds its process while the VM is moved, and what it keeps of the region for it. */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest-shim/warden/hold.h"
#include "guest-shim/warden/keep.h"
#include "tests/protocol/vg_test.h"
#include "vg_atomic.h"

#define THREADS 4u
#define SIZE    VG_REGION_SIZE_MIN
#define SLOT    2u

/* Shared with the process that is held. */
static struct { uint64_t count[THREADS], news; } *seen;

static void *count_up(void *arg)
{
    for (;;)
        vg_fetch_add((uint64_t *)arg, 1);
    return NULL;
}

static void *nothing(void *arg)
{
    return arg;
}

/* Its threads count; one more starts and ends all the time. */
static void run_program(void)
{
    pthread_t thread;

    signal(SIGTERM, SIG_DFL);   /* the test's own handler ends its group */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_create(&thread, NULL, count_up, &seen->count[i]);
    for (;;)
        if (pthread_create(&thread, NULL, nothing, NULL) == 0) {
            pthread_join(thread, NULL);
            vg_fetch_add(&seen->news, 1);
        }
}

static pid_t start_program(void)
{
    seen = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = fork();

    if (pid == 0)
        run_program();
    ck_assert_int_gt(pid, 0);
    return pid;
}

/* Every thread has counted once more since. */
static void await_progress(void)
{
    uint64_t before[THREADS + 1];

    memcpy(before, seen, sizeof(before));
    for (unsigned i = 0; i <= THREADS; i++)
        while (vg_load_relaxed(&seen->count[0] + i) == before[i])
            usleep(1000);
}

static void end_program(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0)
        ;
}

START_TEST(a_held_process_stands_still_and_goes_on)
{
    pid_t pid = start_program();
    struct vg_held held;
    uint64_t before[THREADS + 1];

    for (unsigned round = 0; round < 3; round++) {
        await_progress();
        ck_assert(vg_hold(&held, pid));
        ck_assert_uint_ge(held.count, THREADS + 1);
        memcpy(before, seen, sizeof(before));
        usleep(50000);
        ck_assert_mem_eq(before, seen, sizeof(before));
        vg_unhold(&held);
    }
    await_progress();
    end_program(pid);
}
END_TEST

/* Nobody whom a shell or a parent would ask notices: it is not "stopped". */
START_TEST(its_parent_does_not_notice)
{
    pid_t pid = start_program();
    int result, status;

    await_progress();
    pid_t warden = fork();
    if (warden == 0) {
        struct vg_held held;
        bool good = vg_hold(&held, pid);
        usleep(50000);
        vg_unhold(&held);
        _exit(good ? 0 : 1);
    }
    while ((result = waitpid(pid, &status, WNOHANG | WUNTRACED | WCONTINUED)) == 0 &&
           waitpid(warden, &status, WNOHANG) == 0)
        usleep(1000);
    ck_assert_int_eq(result, 0);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    await_progress();
    end_program(pid);
}
END_TEST

/* A signal that is on its way when it is held arrives when it goes on. */
START_TEST(signals_are_not_lost)
{
    pid_t pid = start_program();
    struct vg_held held;
    int status;

    await_progress();
    ck_assert(vg_hold(&held, pid));
    kill(pid, SIGTERM);
    usleep(20000);
    ck_assert_int_eq(waitpid(pid, &status, WNOHANG), 0);
    vg_unhold(&held);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}
END_TEST

/* By somebody who does not care that it is held. */
START_TEST(who_is_killed_meanwhile_is_gone)
{
    pid_t pid = start_program();
    struct vg_held held;
    int status;

    await_progress();
    ck_assert(vg_hold(&held, pid));
    kill(pid, SIGKILL);
    vg_unhold(&held);
    if (waitpid(pid, &status, 0) == pid)
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    ck_assert_int_lt(kill(pid, 0), 0);
}
END_TEST

START_TEST(who_cannot_be_held_runs_on)
{
    pid_t pid = start_program();
    struct vg_held held;

    await_progress();
    pid_t debugger = fork();
    if (debugger == 0) {
        bool good = vg_hold(&held, pid);
        kill(getpid(), SIGSTOP);
        _exit(good ? 0 : 1);
    }
    waitpid(debugger, NULL, WUNTRACED);
    struct vg_held mine;
    ck_assert(!vg_hold(&mine, pid));
    kill(debugger, SIGCONT);
    waitpid(debugger, NULL, 0);
    await_progress();
    end_program(pid);
    ck_assert(!vg_hold(&mine, pid));    /* there is none any more */
}
END_TEST

/* ---- what is kept ---- */

static struct vg_region_layout layout;

static uint8_t *make_region(int *ret_fd)
{
    int fd = (int)syscall(SYS_memfd_create, "region", 0);

    ck_assert_int_eq(ftruncate(fd, SIZE), 0);
    uint8_t *base = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ck_assert(base != MAP_FAILED);
    ck_assert(vg_region_layout_init(&layout, SIZE, 4));
    vg_region_format(base, &layout);
    *ret_fd = fd;
    return base;
}

static void fill(uint8_t *base, uint64_t off, uint64_t len)
{
    uint64_t seed = off;

    for (uint64_t i = 0; i < len; i++)
        base[off + i] = (uint8_t)vg_test_random(&seed);
}

START_TEST(what_is_the_processs_comes_to_the_next_region)
{
    struct vg_kept kept = {0};
    int fd, next_fd;
    uint8_t *base = make_region(&fd);
    uint64_t mine = vg_extent_alloc(base, &layout, SLOT, 3);
    uint64_t others = vg_extent_alloc(base, &layout, SLOT - 1, 1);
    uint64_t block = layout.slots_off + SLOT * VG_SLOT_STRIDE;

    fill(base, block, VG_SLOT_STRIDE);
    fill(base, mine, 3 * VG_EXTENT_SIZE);
    fill(base, others, VG_EXTENT_SIZE);
    vg_keep(&kept, fd, &layout, SLOT);

    uint8_t *next = make_region(&next_fd);
    struct vg_slot *s = vg_region_slot(next, &layout, SLOT);
    s->state = VG_SLOT_GONE;
    s->reason = VG_GONE_MOVED;
    s->generation = 7;
    vg_keep_put_back(&kept, next_fd, &layout, SLOT);
    ck_assert(s->state == VG_SLOT_GONE && s->reason == VG_GONE_MOVED && s->generation == 7);
    ck_assert_mem_eq(&s->sleeping, base + block + 12, VG_SLOT_STRIDE - 12);
    ck_assert_mem_eq(next + mine, base + mine, 3 * VG_EXTENT_SIZE);
    for (unsigned i = 0; i < VG_EXTENT_SIZE; i++)
        ck_assert_uint_eq(next[others + i], 0);
    vg_keep_forget(&kept, &layout);
    vg_keep_forget(&kept, &layout);
    vg_keep_put_back(&kept, next_fd, &layout, SLOT);    /* nothing to put */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vgpu-warden");
    TCase *tc = tcase_create("hold and keep");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, a_held_process_stands_still_and_goes_on);
    tcase_add_test(tc, its_parent_does_not_notice);
    tcase_add_test(tc, signals_are_not_lost);
    tcase_add_test(tc, who_is_killed_meanwhile_is_gone);
    tcase_add_test(tc, who_cannot_be_held_runs_on);
    tcase_add_test(tc, what_is_the_processs_comes_to_the_next_region);
    suite_add_tcase(suite, tc);
    return vg_test_main(suite);
}
