/* SPDX-License-Identifier: MIT */
/*
 * Prints what libnvidia-ml.so.1 answers: a line SYMBOL[ARGUMENT] STATUS for each row of
 * vg_telemetry.def and for each function that takes a device and one pointer or less.
 * Run natively and on ours the statuses should be equal; with --values it adds the
 * values. With --hold SECONDS it takes GPU memory and waits instead; --uuid INDEX prints
 * what the device is called.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vg_drv.h"
#include "vg_telemetry.h"

#define HELD ((size_t)256 << 20)

static void *library;
static bool values;

static void *find(const char *symbol)
{
    return dlsym(library, symbol);
}

/* ---- the rows whose answer is the host's ---- */

static int ask(const struct vg_nv_row *row, void *address, void *dev, uint32_t element, void *out)
{
    int (*f)();

    memcpy(&f, &address, sizeof(f));
    memcpy(out, &row->version, sizeof(row->version));
    switch ((enum vg_nv_kind)row->kind) {
    case VG_NV_N2: return f(dev, out, (uint32_t *)out + 1);
    case VG_NV_W2: return f(dev, out, (uint64_t *)out + 1);
    case VG_NV_N4: return f(dev, out, (uint32_t *)out + 1, (uint32_t *)out + 2, (uint32_t *)out + 3);
    case VG_NV_A1: return f(dev, element, out);
    case VG_NV_E2: return f(dev, element >> 1, element & 1, out);
    case VG_NV_E3: return f(dev, element >> 4, element >> 3 & 1, element & 7, out);
    case VG_NV_TX: return f(dev, out, (unsigned)row->size);
    case VG_NV_AT: return f(dev, element, out, (unsigned)row->size);
    default:       return f(dev, out);
    }
}

static void print_value(const struct vg_nv_row *row, const void *out)
{
    const uint32_t *n = out;

    if (row->kind == VG_NV_TX || row->kind == VG_NV_AT || row->kind == VG_NV_TS) {
        printf(" %s", (const char *)out);
        return;
    }
    for (unsigned i = 0; i < row->size / 4u && i < 16; i++)
        printf(" %u", n[i]);
}

static void ask_rows(void *dev)
{
    for (unsigned i = 0; i < VG_NV_ITEMS; i++) {
        void *f = find(vg_nv_rows[i].symbol);

        for (unsigned e = 0; e < vg_nv_rows[i].count; e++) {
            uint64_t out[64] = {0};
            int rc = f ? ask(&vg_nv_rows[i], f, dev, e, out) : -1;

            printf("%s[%u] %d", vg_nv_rows[i].symbol, e, rc);
            if (rc == 0 && values)
                print_value(&vg_nv_rows[i], out);
            printf("\n");
        }
    }
}

/* ---- the fields ---- */

static void ask_fields(void *dev)
{
    struct vg_nv_field f[VG_TELEMETRY_FIELDS];
    int (*get)(void *, int, struct vg_nv_field *);

    *(void **)&get = find("nvmlDeviceGetFieldValues");
    memset(f, 0, sizeof(f));
    for (unsigned i = 0; i < VG_TELEMETRY_FIELDS; i++)
        f[i].id = vg_nv_fields[i].id, f[i].scope = vg_nv_fields[i].scope;
    printf("nvmlDeviceGetFieldValues %d\n", get(dev, VG_TELEMETRY_FIELDS, f));
    for (unsigned i = 0; i < VG_TELEMETRY_FIELDS; i++) {
        printf("field %u.%u: %u type %u", f[i].id, f[i].scope, f[i].result, f[i].result ? 0 : f[i].type);
        if (values && f[i].result == 0)
            printf(" %llu", (unsigned long long)f[i].value);
        printf("\n");
    }
}

/* ---- links, and pairs of devices ---- */

static void print_answer(const char *symbol, unsigned a, unsigned b, int rc, unsigned value)
{
    printf("%s[%u,%u] %d", symbol, a, b, rc);
    if (rc == 0 && values)
        printf(" %u", value);
    printf("\n");
}

static void ask_links(void *dev)
{
    static const char *const numbers[] = {"nvmlDeviceGetNvLinkState", "nvmlDeviceGetNvLinkVersion",
                                          "nvmlDeviceGetNvLinkRemoteDeviceType"};
    int (*number)(void *, unsigned, unsigned *), (*capability)(void *, unsigned, unsigned, unsigned *);
    int (*remote)(void *, unsigned, struct vg_nv_pci *);

    *(void **)&capability = find("nvmlDeviceGetNvLinkCapability");
    *(void **)&remote = find("nvmlDeviceGetNvLinkRemotePciInfo_v2");
    for (unsigned link = 0; link <= VG_TELEMETRY_LINKS; link++) {
        struct vg_nv_pci pci = {.domain = 0};
        unsigned value = 0;
        int rc;

        for (unsigned i = 0; i < 3; i++) {
            *(void **)&number = find(numbers[i]);
            rc = number(dev, link, &value);
            print_answer(numbers[i], link, 0, rc, value);
        }
        for (unsigned i = 0; i < 4; i++) {
            rc = capability(dev, link, i, &value);
            print_answer("nvmlDeviceGetNvLinkCapability", link, i, rc, value);
        }
        rc = remote(dev, link, &pci);
        print_answer("nvmlDeviceGetNvLinkRemotePciInfo_v2", link, 0, rc, pci.device_id);
        if (rc == 0 && values)
            printf("link %u: %s %s %u %u %u %u\n", link, pci.bus_id_legacy, pci.bus_id, pci.domain, pci.bus,
                   pci.device, pci.subsystem_id);
    }
}

#define P2P_KINDS 4u        /* read, write, NVLink, atomics */

static void ask_pairs(void)
{
    int (*count)(unsigned *), (*handle)(unsigned, void **);
    int (*p2p)(void *, void *, unsigned, unsigned *), (*ancestor)(void *, void *, unsigned *);
    unsigned n = 0, value = 0;

    *(void **)&count = find("nvmlDeviceGetCount_v2");
    *(void **)&handle = find("nvmlDeviceGetHandleByIndex_v2");
    *(void **)&p2p = find("nvmlDeviceGetP2PStatus");
    *(void **)&ancestor = find("nvmlDeviceGetTopologyCommonAncestor");
    count(&n);
    for (unsigned i = 0; i < n * n; i++) {
        void *a, *b;
        int rc;

        if (i / n == i % n || handle(i / n, &a) || handle(i % n, &b))
            continue;
        for (unsigned k = 0; k < P2P_KINDS; k++) {
            rc = p2p(a, b, k, &value);
            printf("pair %u,%u ", i / n, i % n);
            print_answer("nvmlDeviceGetP2PStatus", k, 0, rc, value);
        }
        rc = ancestor(a, b, &value);
        printf("pair %u,%u ", i / n, i % n);
        print_answer("nvmlDeviceGetTopologyCommonAncestor", 0, 0, rc, value);
    }
}

/* ---- functions with a count ---- */

static void ask_lists(void *dev)
{
    static const char *const lists[] = {
        "nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v3",
        "nvmlDeviceGetMPSComputeRunningProcesses_v3", "nvmlDeviceGetEncoderSessions",
        "nvmlDeviceGetFBCSessions", "nvmlDeviceGetComputeRunningProcesses_v2",
    };
    static uint64_t room[65536];

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        int (*get)(void *, unsigned *, void *);
        unsigned count = 64;

        *(void **)&get = find(lists[i]);
        int rc = get ? get(dev, &count, room) : -1;
        printf("%s %d", lists[i], rc);
        if (values)
            printf(" %u", count);
        printf("\n");
    }
}

/* ---- functions that have nothing to tell here: whether they have natively ---- */

static void ask_refused(void *dev)
{
    static const char *const refused[] = {
#define NV_HOST(symbol)
#define NV_OWN(symbol)
#define NV_SET(symbol)
#define NV_ANY(symbol)
#define NV_DEV(symbol) #symbol,
#include "guest-shim/nvml/nvml.def"
    };
    static uint64_t room[8][65536];

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        int (*f)();
        void *address = find(refused[i]);

        memset(room, 0, sizeof(room));
        memcpy(&f, &address, sizeof(f));
        printf("refused %s %d\n", refused[i],
               f ? f(dev, room[0], room[1], room[2], room[3], room[4], room[5], room[6]) : -1);
        fflush(stdout);
    }
}

static int hold(unsigned seconds)
{
    CUdeviceptr memory;
    CUcontext ctx;

    vg_drv_open();
    if (vg_drv.cuInit(0) || vg_drv.cuDevicePrimaryCtxRetain(&ctx, 0) || vg_drv.cuCtxSetCurrent(ctx) ||
        vg_drv.cuMemAlloc_v2(&memory, HELD))
        return 1;
    for (unsigned i = 0; i < seconds * 100; i++) {
        vg_drv.cuMemsetD8_v2(memory, (unsigned char)i, HELD);
        vg_drv.cuCtxSynchronize();
        usleep(10000);
    }
    return 0;
}

static int show_uuid(void *dev)
{
    int (*get)(void *, char *, unsigned);
    char text[96];

    *(void **)&get = find("nvmlDeviceGetUUID");
    if (get(dev, text, sizeof(text)) != 0)
        return 1;
    printf("%s\n", text);
    return 0;
}

int main(int argc, char **argv)
{
    int (*init)(void), (*handle)(unsigned, void **);
    bool uuid = argc == 3 && strcmp(argv[1], "--uuid") == 0;
    void *dev;

    if (argc == 3 && strcmp(argv[1], "--hold") == 0)
        return hold((unsigned)atoi(argv[2]));
    values = argc > 1 && strcmp(argv[1], "--values") == 0;
    library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    *(void **)&init = find("nvmlInit_v2");
    *(void **)&handle = find("nvmlDeviceGetHandleByIndex_v2");
    if (init() != 0 || handle(uuid ? (unsigned)atoi(argv[2]) : 0, &dev) != 0) {
        fprintf(stderr, "no GPU\n");
        return 1;
    }
    if (uuid)
        return show_uuid(dev);
    ask_rows(dev);
    ask_fields(dev);
    ask_links(dev);
    ask_pairs();
    ask_lists(dev);
    if (argc > 1 && strcmp(argv[1], "--refused") == 0)
        ask_refused(dev);
    return 0;
}
