/* SPDX-License-Identifier: MIT */
/* Maps the region and keeps the slot's state; see guest.h. Main thread only. */
#include "mediator/executor/guest.h"

#include <ctype.h>
#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "vg_api.h"
#include "vg_atomic.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

struct hello {
    uint32_t version, pid, has_warden, pins;
    uint64_t address, api_hash;
    char comm[32];
};

static int refuse(const char **ret_why, const char *why)
{
    *ret_why = why;
    return VG_GONE_VERSION;
}

/* The one look at the guest's hello, through a mapping of the slot's page alone. */
static int read_hello(const struct vg_region_layout *l, const struct vg_job *j, struct hello *h)
{
    uint64_t off = l->slots_off + (uint64_t)j->slot * VG_SLOT_STRIDE;
    struct vg_slot *s = vg_regmem_map(&j->mem, NULL, off, VG_PAGE, PROT_READ, MAP_SHARED);

    if (s == MAP_FAILED)
        return -errno;
    h->version = vg_load_relaxed(&s->version);
    h->pid = vg_load_relaxed(&s->pid);
    h->has_warden = vg_load_relaxed(&s->has_warden);
    h->pins = vg_load_relaxed(&s->pins);
    h->address = vg_load_relaxed(&s->address);
    h->api_hash = vg_load_relaxed(&s->api_hash);
    memcpy(h->comm, s->comm, sizeof(h->comm));
    munmap(s, VG_PAGE);
    return 0;
}

static int check_hello(const struct hello *h, uint64_t size, const char **ret_why)
{
    if (h->version != VG_PROTOCOL_VERSION)
        return refuse(ret_why, "guest speaks another protocol version");
    if (h->api_hash != vg_api_hash())
        return refuse(ret_why, "guest was built from another API table");
    if (h->address % VG_PAGE || h->address < VG_GUEST_ADDRESS_MIN ||
        h->address > VG_GUEST_ADDRESS_MAX - size)
        return refuse(ret_why, "guest's region address is out of range");
    return 0;
}

/* ---- Keeping the place ---- */

/* Under the thread sanitizer a program has little room: enough for its tests is kept. */
#ifdef __SANITIZE_THREAD__
#define KEPT (64ull << 20)
#else
#define KEPT VG_REGION_SIZE_MAX
#endif

static const uint64_t places[] = {VG_REGION_PLACES};
static bool reserved[sizeof(places) / sizeof(places[0])];

void vg_guest_reserve(void)
{
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        void *want = (void *)(uintptr_t)places[i];
        void *p = mmap(want, KEPT, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

        reserved[i] = p == want;
        if (p != MAP_FAILED && p != want)
            munmap(p, KEPT);
    }
}

/* What lies there is ours and nobody's: it may be replaced. */
static bool is_reserved(uint64_t address, uint64_t size)
{
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (reserved[i] && size <= KEPT && address >= places[i] &&
            address - places[i] <= KEPT - size)
            return true;
    return false;
}

/* ---- Mapping ---- */

/* Old kernels ignore NOREPLACE and take the address as a hint: then another one comes back. */
static int map_region(struct vg_guest *g, const struct vg_regmem *mem, uint64_t address,
                      const char **ret_why)
{
    int how = is_reserved(address, g->layout.size) ? MAP_FIXED : MAP_FIXED_NOREPLACE;
    void *p = vg_regmem_map(mem, (void *)(uintptr_t)address, 0, g->layout.size,
                            PROT_READ | PROT_WRITE, MAP_SHARED | how);

    if (p != MAP_FAILED && (uintptr_t)p == address) {
        g->base = p;
        return 0;
    }
    if (p == MAP_FAILED && errno != EEXIST)
        return -errno;
    if (p != MAP_FAILED)
        munmap(p, g->layout.size);
    return refuse(ret_why, "guest's region address is taken in the executor");
}

static void copy_printable(char *dst, const char *src, size_t size)
{
    size_t i;

    for (i = 0; i + 1 < size && src[i]; i++)
        dst[i] = isprint((unsigned char)src[i]) && src[i] != ' ' ? src[i] : '_';
    dst[i] = '\0';
}

int vg_guest_open(struct vg_guest *g, const struct vg_job *j, const char **ret_why)
{
    struct hello h;

    memset(g, 0, sizeof(*g));
    *ret_why = "cannot map the region";
    if (!vg_region_layout_init(&g->layout, j->region_size, j->slot_count))
        return -EINVAL;
    int rc = read_hello(&g->layout, j, &h);
    if (rc == 0)
        rc = check_hello(&h, g->layout.size, ret_why);
    if (rc == 0)
        rc = map_region(g, &j->mem, h.address, ret_why);
    if (rc != 0)
        return rc;
    g->slot = vg_region_slot(g->base, &g->layout, j->slot);
    g->data = h.address + g->layout.data_off;
    g->end = h.address + g->layout.size;
    g->pid = h.pid;
    g->has_warden = h.has_warden != 0;
    g->says_pins = h.pins != 0;
    copy_printable(g->comm, h.comm, sizeof(g->comm));
    return 0;
}

void vg_guest_close(struct vg_guest *g)
{
    if (g->base)
        munmap(g->base, g->layout.size);
    g->base = NULL;
    g->slot = NULL;
}

void vg_guest_ready(struct vg_guest *g)
{
    vg_store_release(&g->slot->state, VG_SLOT_READY);
}

void vg_guest_gone(struct vg_guest *g, enum vg_gone_reason reason)
{
    if (!g->slot)
        return;
    /* The mediator may have said better why, before it asked us to go. */
    if (vg_load_acquire(&g->slot->state) != VG_SLOT_GONE) {
        vg_store_relaxed(&g->slot->reason, (uint32_t)reason);
        vg_store_release(&g->slot->state, VG_SLOT_GONE);
    }
    for (unsigned i = 0; i < VG_CELLS; i++)
        if (vg_load_relaxed(&vg_slot_cell(g->slot, i)->waiting))
            vg_futex_wake(&vg_slot_cell(g->slot, i)->done);
    vg_futex_wake(&g->slot->callback_head);
}

void vg_futex_wake(void *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

void vg_futex_wait(void *word, uint32_t value, unsigned us)
{
    const struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};

    syscall(SYS_futex, word, FUTEX_WAIT, value, &t, NULL, 0);
}

#define THAW_MS 60000u      /* beyond the lease, for a guest's kernel that comes back from a save */

/* A guest that is being saved stands still, and may go on here all the same. */
static bool is_moving(const struct vg_guest *g)
{
    return vg_load_relaxed(&((const struct vg_region_header *)g->base)->moving) != 0;
}

bool vg_guest_alive(struct vg_guest *g, uint64_t now)
{
    uint32_t beat;

    if (!g->has_warden)
        return true;
    beat = vg_load_relaxed(&g->slot->heartbeat);
    if (beat != g->beat || g->beat_ns == 0 || is_moving(g)) {
        g->beat = beat;
        g->beat_ns = now + (is_moving(g) ? THAW_MS * 1000000ull : 0);
    }
    return now < g->beat_ns + VG_LEASE_MS * 1000000ull;
}

void *vg_guest_data(const struct vg_guest *g, uint64_t off, uint64_t len)
{
    return vg_region_data_ok(&g->layout, off, len) ? g->base + off : NULL;
}

bool vg_guest_owns(const struct vg_guest *g, uint64_t addr, uint64_t len)
{
    return addr >= g->data && addr <= g->end && len <= g->end - addr;
}
