/* SPDX-License-Identifier: MIT */
/*
 * Two libraries loaded at the same moment: one with managed variables, on the serve thread, and an
 * ordinary one on the thread beside it, on a driver that lets neither go on before the other is in
 * the middle. The ordinary one goes to the driver as it is; the place is only the other's.
 */
#include <elf.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "mediator/executor/managed.h"
#include "mediator/executor/serve.h"
#include "mediator/executor/wait.h"
#include "vg_wire.h"

#define PATIENCE_S 60
#define CONTEXT    0x10u

enum { CELL_PLAIN, CELL_MANAGED };

static const char text[] = ".version 8.0 an ordinary library, as text that the driver compiles";

static struct vg_exec x;
static struct vg_stats stats;
static struct vg_slot *slot;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool managed_is_in, plain_is_done, plain_had_place, managed_had_place;
static __thread bool serves;

static void fail(const char *what)
{
    fprintf(stderr, "check_placing: %s\n", what);
    exit(1);
}

static void say(bool *flag)
{
    pthread_mutex_lock(&lock);
    *flag = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void await(const bool *flag, const char *what)
{
    struct timespec end;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&lock);
    while (!*flag)
        if (pthread_cond_timedwait(&changed, &lock, &end) != 0)
            fail(what);
    pthread_mutex_unlock(&lock);
}

/* ---- the driver ---- */

/* The thread beside comes here before each piece of work. */
static CUresult set_current(CUcontext ctx)
{
    (void)ctx;
    if (!serves)
        await(&managed_is_in, "the library with managed variables was not loaded");
    return CUDA_SUCCESS;
}

static CUresult load(CUlibrary *library, const void *image, CUjit_option *option, void **value, unsigned n,
                     CUlibraryOption *library_option, void **library_value, unsigned m)
{
    (void)option, (void)value, (void)n, (void)library_option, (void)library_value, (void)m;
    if (serves) {
        managed_had_place = vg_placing != NULL && memcmp(image, ELFMAG, SELFMAG) == 0;
        say(&managed_is_in);
        await(&plain_is_done, "the ordinary library did not reach the driver");
        *library = (CUlibrary)(uintptr_t)0x200;
        return CUDA_SUCCESS;
    }
    plain_had_place = vg_placing != NULL || strcmp(image, text) != 0;
    *library = (CUlibrary)(uintptr_t)0x100;
    say(&plain_is_done);
    return CUDA_SUCCESS;
}

/* ---- what the guest asks ---- */

static void ask(unsigned cell, uint64_t kind, const void *image, size_t len)
{
    struct vg_req r = {.call = {.call = VG_CALL_IMAGE_LOAD, .seq = cell + 1, .flags = VG_F_REPLY,
                                .cell = (uint16_t)cell}};

    memcpy(x.payload, image, len);
    r.call.arg[0] = kind;
    r.call.arg[2] = len;
    r.call.payload_len = (uint32_t)len;
    if (!vg_serve_record(&x, &r))
        fail("a request was not taken");
}

static void expect_loaded(unsigned cell, uint64_t library)
{
    const struct vg_cell *c = vg_slot_cell(slot, cell);

    if (c->result.result != CUDA_SUCCESS || c->result.seq != cell + 1)
        fail(cell == CELL_PLAIN ? "the ordinary library was not loaded"
                                : "the library with managed variables was not loaded");
    if (!vg_obj_find(&x.obj, VG_OBJ_CUlibrary, library))
        fail("a library is not the guest's");
}

static void set_up(void)
{
    int bell = eventfd(0, EFD_NONBLOCK);

    slot = calloc(1, VG_SLOT_STRIDE);
    if (!slot || bell < 0 || dup2(bell, VG_FD_DOORBELL) < 0 || vg_exec_init(&x) != 0)
        fail("no memory");
    x.stats = &stats;
    x.guest.slot = slot;
    x.console.pipe_read = -1;
    x.cuda.cuCtxSetCurrent = set_current;
    x.cuda.cuLibraryLoadData = load;
    x.ctx = x.home = (CUcontext)(uintptr_t)CONTEXT;
    vg_own_add(&x, VG_OBJ_CUcontext, CONTEXT, 0, 0);
    serves = true;
}

int main(void)
{
    struct {
        Elf64_Ehdr e;
        Elf64_Shdr none;
    } elf = {.e = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB},
                   .e_machine = 190, .e_shoff = sizeof(Elf64_Ehdr), .e_shentsize = sizeof(Elf64_Shdr),
                   .e_shnum = 1}};

    set_up();
    ask(CELL_PLAIN, VG_IMAGE_LIBRARY, text, sizeof(text));
    ask(CELL_MANAGED, VG_IMAGE_LIBRARY | VG_IMAGE_MANAGED, &elf, sizeof(elf));
    for (unsigned i = 0; i < PATIENCE_S * 100 && vg_slot_cell(slot, CELL_PLAIN)->result.seq == 0; i++) {
        vg_waits_poll(&x);
        usleep(10000);
    }
    expect_loaded(CELL_PLAIN, 0x100);
    expect_loaded(CELL_MANAGED, 0x200);
    if (!managed_had_place || plain_had_place)
        fail("the place went to the wrong library");
    if (vg_placing)
        fail("the place is still there");
    printf("two libraries at once: ok\n");
    return 0;
}
