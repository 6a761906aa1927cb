/* SPDX-License-Identifier: MIT */
/* The copy of the page, how old it may be, and who may look at it. See nv.h. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "guest-shim/nvml/nv.h"
#include "vg_atomic.h"

#define MAX_AGE_MS    200u      /* of the copy */
#define FIRST_MS      20000u    /* wait for the first page: a host may be busy */
#define FRESH_MS      1500u     /* wait for a fresh one where there is an old one */
#define RETRY_MS      1000u     /* between attempts to find a mediator again */
#define COPY_ATTEMPTS 1000u     /* of 100 us each; then the writer is dead */

struct nv_handle {
    char unused;
};

struct vg_telemetry nv_page;

static struct nv_handle handles[VG_DEVICES_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct nv_source source = {.sock = -1};
static unsigned users;          /* nvmlInit less nvmlShutdown */
static uint64_t copied_at;      /* ms */
static uint64_t tried_at;       /* ms, of the latest attempt to open */

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void pause_us(long us)
{
    struct timespec t = {.tv_nsec = us * 1000};

    nanosleep(&t, NULL);
}

static void explain(const char *why)
{
    const char *level = getenv("VGPU_LOG");

    if (!level || atoi(level) >= 1)
        fprintf(stderr, "vgpu[%d]: no GPU to tell about: %s\n", (int)getpid(), why);
}

/* ---- the copy ---- */

static void ask(void)
{
    struct vg_telemetry *p = source.page;

    vg_store_relaxed(&p->asked, vg_load_relaxed(&p->asked) + 1);
}

/* The host trusts nothing of this page, but we index by what it says. */
static bool is_sound(const struct vg_telemetry *p)
{
    return p->magic == VG_TELEMETRY_MAGIC && p->device_count <= VG_DEVICES_MAX &&
           p->process_count <= VG_TELEMETRY_PROCESSES;
}

typedef char vg_assert_words[sizeof(struct vg_telemetry) % 4 == 0 ? 1 : -1];

/* While the VM is saved under Xen each access is emulated, for which memcpy's are not good. */
static void copy_words(void *to, const void *from, size_t bytes)
{
    const volatile uint32_t *f = from;
    uint32_t *t = to;

    for (size_t i = 0; i < bytes / sizeof(*t); i++)
        t[i] = f[i];
}

static bool copy_once(void)
{
    static struct vg_telemetry next;
    uint32_t before = vg_load_acquire(&source.page->seq);

    if (before & 1)
        return false;
    copy_words(&next, source.page, sizeof(next));
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (vg_load_relaxed(&source.page->seq) != before)
        return false;
    if (!is_sound(&next))
        return false;
    next.driver_version[sizeof(next.driver_version) - 1] = '\0';
    next.nvml_version[sizeof(next.nvml_version) - 1] = '\0';
    nv_page = next;
    return true;
}

static bool copy_page(void)
{
    for (unsigned i = 0; i < COPY_ATTEMPTS; i++) {
        if (vg_load_acquire(&source.page->magic) != VG_TELEMETRY_MAGIC)
            return false;
        if (copy_once()) {
            copied_at = now_ms();
            return true;
        }
        pause_us(100);
    }
    return false;
}

/* ---- open ---- */

static bool is_answered(uint64_t waited)
{
    struct vg_telemetry *p = source.page;
    bool first = vg_load_acquire(&p->magic) != VG_TELEMETRY_MAGIC;

    if (waited > FIRST_MS || (!first && waited > FRESH_MS))
        return true;
    /* A monitor's page is new with the connection, so whatever stands there is fresh. */
    return !first && (!source.regs || vg_load_relaxed(&p->answered) == vg_load_relaxed(&p->asked));
}

static int open_source(char *why, size_t cap)
{
    uint64_t start = now_ms();

    tried_at = start;
    if (nv_source_open(&source, why, cap) < 0)
        return -1;
    ask();
    while (!is_answered(now_ms() - start))
        pause_us(2000);
    if (copy_page() && nv_page.device_count > 0)
        return 0;
    snprintf(why, cap, "the host has no usable GPU, or no telemetry");
    nv_source_close(&source);
    return -1;
}

static nv_result refresh(void)
{
    char why[512];
    uint64_t now = now_ms();

    if (source.page && now - copied_at < MAX_AGE_MS)
        return VG_NV_SUCCESS;
    if (source.page && !nv_source_alive(&source))
        nv_source_close(&source);
    if (source.page) {
        ask();
        return copy_page() ? VG_NV_SUCCESS : VG_NV_GPU_IS_LOST;
    }
    if (now - tried_at < RETRY_MS || open_source(why, sizeof(why)) < 0)
        return VG_NV_GPU_IS_LOST;
    return VG_NV_SUCCESS;
}

/* ---- life ---- */

/* A child of fork may go on asking: page and socket are shared, the lock may be anybody's. */
static void unlock_in_child(void)
{
    pthread_mutex_init(&lock, NULL);
}

static void prepare(void)
{
    pthread_atfork(NULL, NULL, unlock_in_child);
}

nv_result nv_init(void)
{
    char why[512] = "";
    int rc = 0;

    pthread_once(&once, prepare);
    pthread_mutex_lock(&lock);
    if (users == 0)
        rc = open_source(why, sizeof(why));
    if (rc == 0)
        users++;
    pthread_mutex_unlock(&lock);
    if (rc == 0)
        return VG_NV_SUCCESS;
    explain(why);
    return VG_NV_DRIVER_NOT_LOADED;
}

nv_result nv_shutdown(void)
{
    nv_result rc = VG_NV_SUCCESS;

    pthread_mutex_lock(&lock);
    if (users == 0)
        rc = VG_NV_UNINITIALIZED;
    else if (--users == 0)
        nv_source_close(&source);
    pthread_mutex_unlock(&lock);
    return rc;
}

nv_result nv_enter(void)
{
    nv_result rc;

    pthread_mutex_lock(&lock);
    rc = users ? refresh() : VG_NV_UNINITIALIZED;
    if (rc != VG_NV_SUCCESS)
        pthread_mutex_unlock(&lock);
    return rc;
}

void nv_leave(void)
{
    pthread_mutex_unlock(&lock);
}

bool nv_in_vm(void)
{
    return source.regs != NULL;
}

nv_device nv_handle_of(unsigned index)
{
    return &handles[index];
}

nv_result nv_enter_device(nv_device dev, unsigned *ret_index)
{
    nv_result rc = nv_enter();

    if (rc != VG_NV_SUCCESS)
        return rc;
    for (unsigned i = 0; i < nv_page.device_count; i++) {
        if (dev == &handles[i]) {
            *ret_index = i;
            return VG_NV_SUCCESS;
        }
    }
    nv_leave();
    return VG_NV_INVALID_ARGUMENT;
}

nv_result nv_check(void)
{
    nv_result rc = nv_enter();

    if (rc == VG_NV_SUCCESS)
        nv_leave();
    return rc;
}

nv_result nv_check_device(nv_device dev)
{
    unsigned index;
    nv_result rc = nv_enter_device(dev, &index);

    if (rc == VG_NV_SUCCESS)
        nv_leave();
    return rc;
}
