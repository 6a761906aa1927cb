/* SPDX-License-Identifier: MIT */
/* See integrity.h. Any thread, after cuInit. */
#include "guest-shim/integrity.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "guest-shim/md2.h"
#include "guest-shim/process.h"
#include "guest-shim/state.h"

static const uint8_t key[VG_MD2_BYTES] = {
    0x14, 0x6a, 0xdd, 0xae, 0x53, 0xa9, 0xa7, 0x52, 0xaa, 0x08, 0x41, 0x36, 0x0b, 0xf5, 0x5a, 0x9f,
};

struct head {
    uint32_t driver_version, version, pid, thread;
    const void *cudart, *integrity, *integrity_slot;
    uint64_t seconds;
};

struct device {
    uint8_t uuid[16];
    int32_t domain, bus, device;
};

typedef char vg_assert_integrity[sizeof(struct head) == 48 && sizeof(struct device) == 28 ? 1 : -1];

static void add_devices(struct vg_md2 *m)
{
    for (uint32_t i = 0; i < vg_process.snapshot->device_count; i++) {
        const struct vg_device_info *d = &vg_process.snapshot->device[i];
        struct device x = {.domain = d->attr[CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID],
                           .bus = d->attr[CU_DEVICE_ATTRIBUTE_PCI_BUS_ID],
                           .device = d->attr[CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID]};
        memcpy(x.uuid, d->uuid, sizeof(x.uuid));
        vg_md2_add(m, &x, sizeof(x));
    }
}

/* Versions that end in 0 and 1 are probes with fixed answers. */
static void fixed(uint32_t version, uint8_t out[16])
{
    const uint64_t words[2] = {version % 10 ? 0x1841181c03cb675cu : 0x3341181c03cb675cu,
                               0x8ed383aa1f4cd1e8u};

    memcpy(out, words, sizeof(words));
}

CUresult vg_integrity(uint32_t version, uint64_t seconds, const struct vg_integrity_tables *tables,
                      uint8_t out[16])
{
    CUresult r = vg_enter();

    if (r)
        return r;
    if (version % 10 < 2) {
        fixed(version, out);
        return CUDA_SUCCESS;
    }
    struct vg_md2 m;
    const struct head head = {
        .driver_version = (uint32_t)vg_driver_version(), .version = version,
        .pid = (uint32_t)getpid(), .thread = (uint32_t)(uintptr_t)pthread_self(),
        .cudart = tables->cudart, .integrity = tables->integrity,
        .integrity_slot = tables->integrity_slot, .seconds = seconds,
    };
    vg_hmac_md2_init(&m, key);
    vg_md2_add(&m, &head, sizeof(head));
    add_devices(&m);
    vg_hmac_md2_end(&m, key, out);
    return CUDA_SUCCESS;
}
