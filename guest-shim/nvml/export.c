/* SPDX-License-Identifier: MIT */
/*
 * nvidia-smi's private table: functions without a name, known by their place. Those
 * that nvidia-smi 580 calls are served: processes, a handle, a few numbers, and what
 * has nothing to show: "success, zero" (with an error it would stop or show rubbish).
 * All others are not supported. Slot 0 holds the table's size.
 */
#include <stdio.h>
#include <string.h>

#include "guest-shim/nvml/nv.h"

#define SLOTS 512u

#define SLOT_NEARNESS 23        /* of two PCI addresses: topo -m */
#define SLOT_MONITOR  72        /* whether dmon and pmon may show the device */
#define SLOT_HANDLE   81
#define SLOT_COMPUTE  213

/* 214 and 215: graphics and MPS processes. 249: sparse mode. */
static const uint16_t empty_slots[] = {214, 215, 231, 232, 237, 249};

static const uint8_t table_id[16] = {0xc4, 0xfe, 0x3e, 0x6c, 0xc9, 0x8f, 0x6c, 0x4e,
                                     0xa3, 0x27, 0xee, 0x69, 0x6e, 0x12, 0xf7, 0xc4};

/* One process as these functions give it. */
struct process {
    uint32_t pid, reserved0;
    uint64_t memory;
    uint32_t gpu_instance, compute_instance;
    uint64_t protected_memory;
    char name[4096];
};

typedef char assert_process_stride[sizeof(struct process) == 4128 ? 1 : -1];

static nv_result nothing(nv_device dev, uint32_t *out)
{
    nv_result rc = nv_check_device(dev);

    if (rc == VG_NV_SUCCESS && out)
        *out = 0;
    return rc;
}

static nv_result unknown(void)
{
    return VG_NV_NOT_SUPPORTED;
}

static nv_result handle(unsigned index, nv_device *ret_dev)
{
    nv_result rc = nv_enter();

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (!ret_dev || index >= nv_page.device_count)
        rc = VG_NV_INVALID_ARGUMENT;
    else
        *ret_dev = nv_handle_of(index);
    nv_leave();
    return rc;
}

static void fill(struct process *out, const struct vg_telemetry_process *p)
{
    memset(out, 0, offsetof(struct process, name));
    out->pid = p->pid;
    out->memory = p->memory;
    out->gpu_instance = out->compute_instance = VG_NV_NO_INSTANCE;
    out->protected_memory = VG_NV_NO_VALUE;
    if (!nv_process_name(p->pid, out->name, sizeof(out->name)))
        out->name[0] = '\0';
}

static nv_result compute(nv_device dev, uint32_t *count, struct process *out)
{
    const struct vg_telemetry_process *p;
    unsigned index, n = 0;
    nv_result rc = nv_enter_device(dev, &index);

    if (rc != VG_NV_SUCCESS)
        return rc;
    while (nv_process(index, n))
        n++;
    if (!count)
        rc = VG_NV_INVALID_ARGUMENT;
    else if (*count < n)
        rc = VG_NV_INSUFFICIENT_SIZE;
    for (unsigned i = 0; rc == VG_NV_SUCCESS && out && (p = nv_process(index, i)); i++)
        fill(&out[i], p);
    if (count)
        *count = n;
    nv_leave();
    return rc;
}

static nv_result can_be_monitored(nv_device dev, uint32_t *out)
{
    nv_result rc = nv_check_device(dev);

    if (rc == VG_NV_SUCCESS && out)
        *out = 1;
    return rc;
}

/* The index of a device by its address as text, or device_count. Between enter and leave. */
static unsigned at_address(const char *address)
{
    struct vg_nv_pci pci;

    for (unsigned i = 0; i < nv_page.device_count; i++) {
        if (nv_item(i, VG_NV_PCI, 0, &pci) == VG_NV_SUCCESS &&
            strncasecmp(pci.bus_id, address, sizeof(pci.bus_id)) == 0)
            return i;
    }
    return nv_page.device_count;
}

/* 0 PIX, 1 PXB, 2 PHB, 3 NODE, 4 SYS: what is not a GPU of ours is as far as anything can be. */
static nv_result nearness(const char *from, const char *to, unsigned *out)
{
    enum { FARTHEST = 4, STEP = 10 };
    nv_result rc = from && to && out ? nv_enter() : VG_NV_INVALID_ARGUMENT;

    if (rc != VG_NV_SUCCESS)
        return rc;
    unsigned a = at_address(from), b = at_address(to), level = FARTHEST;
    if (a < nv_page.device_count && b < nv_page.device_count && nv_page.fabric[a].known &&
        nv_page.fabric[a].peer[b].ancestor / STEP >= 1)
        level = nv_page.fabric[a].peer[b].ancestor / STEP - 1u;
    *out = level < FARTHEST ? level : FARTHEST;
    nv_leave();
    return VG_NV_SUCCESS;
}

static const void *table[SLOTS];

static void set_slot(unsigned slot, void (*function)(void))
{
    memcpy(&table[slot], &function, sizeof(function));
}

static void make_table(void)
{
    uintptr_t size = sizeof(table);

    for (unsigned i = 1; i < SLOTS; i++)
        set_slot(i, (void (*)(void))unknown);
    for (size_t i = 0; i < sizeof(empty_slots) / sizeof(empty_slots[0]); i++)
        set_slot(empty_slots[i], (void (*)(void))nothing);
    set_slot(SLOT_NEARNESS, (void (*)(void))nearness);
    set_slot(SLOT_MONITOR, (void (*)(void))can_be_monitored);
    set_slot(SLOT_HANDLE, (void (*)(void))handle);
    set_slot(SLOT_COMPUTE, (void (*)(void))compute);
    memcpy(&table[0], &size, sizeof(size));
}

NV_FUNCTION(nvmlInternalGetExportTable, (const void **ret_table, const void *id))
{
    if (!ret_table || !id)
        return VG_NV_INVALID_ARGUMENT;
    if (memcmp(id, table_id, sizeof(table_id)) != 0)
        return VG_NV_NOT_FOUND;
    if (!table[0])
        make_table();
    *ret_table = table;
    return VG_NV_SUCCESS;
}
