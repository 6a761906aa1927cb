/* SPDX-License-Identifier: MIT */
/*
 * Runs in a test VM, as any user: looks at the device through sysfs as the guest
 * library does, without a mediator. Exits 0 if everything is as specified.
 *
 *   vm-probe            registers, BAR1, a claim without a mediator
 *   vm-probe claim      takes a slot and leaves it taken; prints its token
 *   vm-probe attach     the same, and asks for an executor
 *   vm-probe release T  gives the slot with token T back
 *   vm-probe status     prints "up" or "down" (the mediator) and the epoch
 *   vm-probe traps      prints how often BAR1 had to be served by the device
 *   vm-probe slot N     prints the state of slot N, and the reason if it is gone
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "vg_atomic.h"
#include "vg_region.h"
#include "vg_regs.h"

#define DEVICES "/sys/bus/pci/devices"
#define ROUNDS  1000

static volatile uint32_t *bar0;
static char *bar1;
static uint64_t size;

#define NEED(condition)                                                     \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "vm-probe: line %d: %s\n", __LINE__, #condition); \
            exit(1);                                                        \
        }                                                                   \
    } while (0)

static unsigned long read_hex(const char *device, const char *file)
{
    char path[512], text[32] = "";
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s/%s", DEVICES, device, file);
    f = fopen(path, "r");
    if (f && !fgets(text, sizeof(text), f))
        text[0] = '\0';
    if (f)
        fclose(f);
    return strtoul(text, NULL, 16);
}

static void *map_bar(const char *device, const char *file, size_t bytes)
{
    char path[512];
    void *p;
    int fd;

    snprintf(path, sizeof(path), "%s/%s/%s", DEVICES, device, file);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        perror(path);
        exit(1);
    }
    p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    NEED(p != MAP_FAILED);
    close(fd);
    return p;
}

static void map_device(void)
{
    DIR *d = opendir(DEVICES);
    struct dirent *e;

    NEED(d);
    while ((e = readdir(d))) {
        if (read_hex(e->d_name, "vendor") != VG_PCI_VENDOR ||
            read_hex(e->d_name, "subsystem_vendor") != VG_PCI_SUBVENDOR)
            continue;
        bar0 = map_bar(e->d_name, "resource0", VG_BAR0_SIZE);
        size = (uint64_t)bar0[VG_REG_REGION_HI / 4] << 32 | bar0[VG_REG_REGION_LO / 4];
        bar1 = map_bar(e->d_name, "resource1", size);
        break;
    }
    closedir(d);
    NEED(bar0 && bar0[VG_REG_MAGIC / 4] == VG_REG_MAGIC_VALUE);
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* What makes the design work: using BAR1 never leaves the guest. */
static void check_region(const struct vg_region_layout *l)
{
    volatile uint64_t *data = (volatile uint64_t *)(bar1 + l->data_off);
    uint32_t traps = bar0[VG_REG_TRAPS / 4];
    uint32_t region_traps = bar0[VG_REG_REGION_TRAPS / 4];
    uint64_t start;

    NEED(((struct vg_region_header *)bar1)->magic == VG_REGION_MAGIC);
    for (unsigned i = 0; i < ROUNDS; i++)
        data[i] = i * 0x9e3779b97f4a7c15ull;
    start = now_ns();
    for (unsigned i = 0; i < ROUNDS; i++)
        NEED(data[i] == i * 0x9e3779b97f4a7c15ull);
    printf("BAR1 read %u ns\n", (unsigned)((now_ns() - start) / ROUNDS));
    NEED(bar0[VG_REG_TRAPS / 4] == traps);
    NEED(bar0[VG_REG_REGION_TRAPS / 4] == region_traps);
    start = now_ns();
    for (unsigned i = 0; i < ROUNDS; i++)
        NEED(bar0[VG_REG_VERSION / 4] == VG_PROTOCOL_VERSION);
    printf("BAR0 read %u ns\n", (unsigned)((now_ns() - start) / ROUNDS));
    NEED(bar0[VG_REG_TRAPS / 4] == traps + ROUNDS);
}

static void check_claim(const struct vg_region_layout *l)
{
    uint32_t token = bar0[VG_REG_CLAIM / 4];
    struct vg_slot *s = vg_region_slot(bar1, l, VG_TOKEN_SLOT(token));

    NEED(token != VG_CLAIM_NONE);
    NEED(vg_load_acquire(&s->state) == VG_SLOT_CLAIMED);
    NEED(s->generation == VG_TOKEN_GEN(token));
    bar0[VG_REG_ATTACH / 4] = token;
    NEED(vg_load_acquire(&s->state) == VG_SLOT_GONE);
    NEED(s->reason == VG_GONE_MEDIATOR);
    bar0[VG_REG_RELEASE / 4] = token;
    NEED(vg_load_acquire(&s->state) == VG_SLOT_FREE);
    bar0[VG_REG_RELEASE / 4] = token;
    bar0[VG_REG_MAGIC / 4] = 0;
    NEED(bar0[VG_BAR0_SIZE / 4 - 1] == UINT32_MAX);
}

static void print_slot(const struct vg_region_layout *l, unsigned i)
{
    static const char *const names[] = { "free", "claimed", "attaching", "ready", "gone" };
    struct vg_slot *s = vg_region_slot(bar1, l, i);
    uint32_t state = vg_load_acquire(&s->state);

    NEED(i < l->slot_count && state <= VG_SLOT_GONE);
    printf("%s %u\n", names[state], s->reason);
}

static int one_step(const struct vg_region_layout *l, const char *verb, const char *argument)
{
    uint32_t number = (uint32_t)strtoul(argument, NULL, 0);

    if (strcmp(verb, "status") == 0) {
        printf("%s %u\n", bar0[VG_REG_STATUS / 4] & VG_STATUS_MEDIATOR ? "up" : "down",
               bar0[VG_REG_EPOCH / 4]);
    } else if (strcmp(verb, "traps") == 0) {
        printf("%u\n", bar0[VG_REG_REGION_TRAPS / 4]);
    } else if (strcmp(verb, "slot") == 0) {
        print_slot(l, number);
    } else if (strcmp(verb, "release") == 0) {
        bar0[VG_REG_RELEASE / 4] = number;
    } else {
        number = bar0[VG_REG_CLAIM / 4];
        printf("%#x\n", number);
        if (strcmp(verb, "attach") == 0)
            bar0[VG_REG_ATTACH / 4] = number;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct vg_region_layout l;

    map_device();
    NEED(vg_region_layout_init(&l, size, bar0[VG_REG_SLOT_COUNT / 4]));
    if (argc > 1)
        return one_step(&l, argv[1], argc > 2 ? argv[2] : "");
    NEED(bar0[VG_REG_STATUS / 4] == 0);
    check_region(&l);
    check_claim(&l);
    printf("region of %u MiB, %u slots: good\n", (unsigned)(size >> 20), l.slot_count);
    return 0;
}
