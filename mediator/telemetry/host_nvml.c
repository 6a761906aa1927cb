/* SPDX-License-Identifier: MIT */
/*
 * The host's NVML, loaded by dlopen. Every row of vg_telemetry.def is asked with
 * the signature that its kind stands for; what the library lacks or refuses is an
 * answer, too, and goes to the guest as it is.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mediator/base/util.h"
#include "mediator/telemetry/gauge.h"

#define PROCESSES_MAX 256u                  /* on one device */
#define FIRST_CHANGING VG_NV_PERSISTENCE    /* rows before it are asked once */

typedef void *nv_device;

/* A function of a row: its true type follows from the row's kind. */
union nv_call {
    void *address;
    int (*n1)(nv_device, void *);
    int (*n2)(nv_device, uint32_t *, uint32_t *);
    int (*w2)(nv_device, uint64_t *, uint64_t *);
    int (*n4)(nv_device, uint32_t *, uint32_t *, uint32_t *, uint32_t *);
    int (*a1)(nv_device, uint32_t, uint32_t *);
    int (*e2)(nv_device, uint32_t, uint32_t, unsigned long long *);
    int (*e3)(nv_device, uint32_t, uint32_t, uint32_t, unsigned long long *);
    int (*tx)(nv_device, char *, unsigned);
    int (*at)(nv_device, uint32_t, char *, unsigned);
    int (*init)(void);
    int (*text)(char *, unsigned);
    int (*number)(int *);
    int (*handle)(const char *, nv_device *);
    int (*by_index)(unsigned, nv_device *);
    int (*processes)(nv_device, unsigned *, struct vg_nv_process *);
    int (*samples)(nv_device, struct vg_nv_sample *, unsigned *, unsigned long long);
    int (*fields)(nv_device, int, struct vg_nv_field *);
};

static struct {
    void *library;
    char failure[160];
    union nv_call row[VG_NV_ITEMS];
    union nv_call memory, compute, graphics, samples, fields;
    nv_device device[VG_DEVICES_MAX];       /* NULL: NVML does not know it */
    uint64_t seen[VG_DEVICES_MAX];          /* time of the latest utilisation sample */
} nv;

const char *vg_gauge_nvml_failure(void)
{
    return nv.failure;
}

static union nv_call find(const char *symbol)
{
    return (union nv_call){ .address = dlsym(nv.library, symbol) };
}

void *vg_gauge_nvml_symbol(const char *symbol)
{
    return dlsym(nv.library, symbol);
}

/* ---- rows ---- */

/* One answer of a row into `out`. The result, or FUNCTION_NOT_FOUND. */
static int ask(const struct vg_nv_row *row, union nv_call call, nv_device dev, unsigned element,
               void *out)
{
    uint32_t *n = out;
    unsigned long long wide = 0;
    int rc;

    if (!call.address)
        return VG_NV_FUNCTION_NOT_FOUND;
    if (row->version)
        memcpy(out, &row->version, sizeof(row->version));
    switch ((enum vg_nv_kind)row->kind) {
    case VG_NV_N1:
    case VG_NV_W1:
    case VG_NV_ST:
    case VG_NV_BV:
    case VG_NV_TS: return call.n1(dev, out);
    case VG_NV_W2: return call.w2(dev, (uint64_t *)out, (uint64_t *)out + 1);
    case VG_NV_N2: return call.n2(dev, &n[0], &n[1]);
    case VG_NV_N4: return call.n4(dev, &n[0], &n[1], &n[2], &n[3]);
    case VG_NV_A1: return call.a1(dev, element, n);
    case VG_NV_TX: return call.tx(dev, out, row->size);
    case VG_NV_AT: return call.at(dev, element, out, row->size);
    case VG_NV_E2:
    case VG_NV_E3:
        rc = row->kind == VG_NV_E2
                 ? call.e2(dev, element >> 1, element & 1, &wide)
                 : call.e3(dev, element >> 4, element >> 3 & 1, element & 7, &wide);
        memcpy(out, &wide, sizeof(wide));
        return rc;
    }
    return VG_NV_NOT_SUPPORTED;
}

static void ask_rows(struct vg_telemetry_device *d, nv_device dev, unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++) {
        const struct vg_nv_row *row = &vg_nv_rows[i];
        uint8_t *status = vg_nv_status_at(d, (enum vg_nv_item)i);

        for (unsigned e = 0; e < row->count; e++) {
            uint64_t out[16] = { 0 };   /* the largest answer has 104 bytes */
            int rc = ask(row, nv.row[i], dev, e, out);

            if (rc == VG_NV_SUCCESS)
                vg_gauge_set(d, (enum vg_nv_item)i, e, out);
            else
                status[e] = rc > 0 && rc < 255 ? (uint8_t)rc : 255;
        }
    }
}

/* ---- the rest ---- */

static void ask_memory(struct vg_telemetry_device *d, nv_device dev)
{
    struct vg_nv_memory m = { 0 };

    if (!nv.memory.address || nv.memory.n1(dev, &m) != VG_NV_SUCCESS)
        return;
    d->memory_total = m.total;
    d->memory_free = m.free;
    d->memory_used = m.used;
}

static void ask_fields(struct vg_telemetry_device *d, nv_device dev)
{
    struct vg_nv_field f[VG_TELEMETRY_FIELDS];

    memset(f, 0, sizeof(f));
    for (unsigned i = 0; i < VG_TELEMETRY_FIELDS; i++) {
        f[i].id = vg_nv_fields[i].id;
        f[i].scope = vg_nv_fields[i].scope;
    }
    if (!nv.fields.address || nv.fields.fields(dev, VG_TELEMETRY_FIELDS, f) != VG_NV_SUCCESS)
        return;
    for (unsigned i = 0; i < VG_TELEMETRY_FIELDS; i++) {
        d->field.value[i] = f[i].value;
        d->field.type[i] = (uint8_t)f[i].type;
        d->field.status[i] = f[i].result < 255 ? (uint8_t)f[i].result : 255;
    }
}

static struct vg_gauges_process *entry(struct vg_gauges *g, uint32_t pid, uint32_t device)
{
    for (uint32_t i = 0; i < g->process_count; i++) {
        if (g->process[i].pid == pid && g->process[i].device == device)
            return &g->process[i];
    }
    if (g->process_count == VG_GAUGES_PROCESSES)
        return NULL;
    g->process[g->process_count] = (struct vg_gauges_process){
        .pid = pid, .device = device, .memory = VG_NV_NO_VALUE };
    return &g->process[g->process_count++];
}

static void ask_processes(struct vg_gauges *g, union nv_call call, unsigned i)
{
    struct vg_nv_process list[PROCESSES_MAX];
    unsigned count = PROCESSES_MAX;

    if (!call.address || call.processes(nv.device[i], &count, list) != VG_NV_SUCCESS)
        return;
    for (unsigned k = 0; k < count && k < PROCESSES_MAX; k++) {
        struct vg_gauges_process *p = entry(g, list[k].pid, i);

        if (p)
            p->memory = list[k].memory;
    }
}

/* NVML keeps samples of some seconds; the latest of each process is the one to show. */
static void ask_samples(struct vg_gauges *g, unsigned i)
{
    struct vg_nv_sample list[PROCESSES_MAX];
    unsigned count = PROCESSES_MAX;
    uint64_t seen = nv.seen[i];

    if (!nv.samples.address ||
        nv.samples.samples(nv.device[i], list, &count, nv.seen[i]) != VG_NV_SUCCESS)
        return;
    for (unsigned k = 0; k < count && k < PROCESSES_MAX; k++) {
        struct vg_gauges_process *p = list[k].pid ? entry(g, list[k].pid, i) : NULL;

        if (!p || list[k].time <= nv.seen[i])
            continue;
        p->sm = list[k].sm;
        p->memory_busy = list[k].memory;
        p->encoder = list[k].encoder;
        p->decoder = list[k].decoder;
        if (list[k].time > seen)
            seen = list[k].time;
    }
    nv.seen[i] = seen;
}

void vg_gauge_nvml_read(struct vg_gauges *g)
{
    g->process_count = 0;
    for (unsigned i = 0; i < g->device_count; i++) {
        if (!nv.device[i])
            continue;
        ask_rows(&g->device[i], nv.device[i], FIRST_CHANGING, VG_NV_ITEMS);
        ask_memory(&g->device[i], nv.device[i]);
        ask_fields(&g->device[i], nv.device[i]);
        ask_processes(g, nv.compute, i);
        ask_processes(g, nv.graphics, i);
        ask_samples(g, i);
    }
}

/* ---- open ---- */

static void find_calls(void)
{
    for (unsigned i = 0; i < VG_NV_ITEMS; i++)
        nv.row[i] = find(vg_nv_rows[i].symbol);
    nv.memory = find("nvmlDeviceGetMemoryInfo");
    nv.compute = find("nvmlDeviceGetComputeRunningProcesses_v3");
    nv.graphics = find("nvmlDeviceGetGraphicsRunningProcesses_v3");
    nv.samples = find("nvmlDeviceGetProcessUtilization");
    nv.fields = find("nvmlDeviceGetFieldValues");
}

static void ask_system(struct vg_gauges *g)
{
    union nv_call driver = find("nvmlSystemGetDriverVersion");
    union nv_call nvml = find("nvmlSystemGetNVMLVersion");
    union nv_call cuda = find("nvmlSystemGetCudaDriverVersion_v2");
    int version = 0;

    if (driver.address)
        driver.text(g->driver_version, sizeof(g->driver_version));
    if (nvml.address)
        nvml.text(g->nvml_version, sizeof(g->nvml_version));
    if (cuda.address && cuda.number(&version) == VG_NV_SUCCESS)
        g->cuda_version = (uint32_t)version;
}

static bool start(const char *library)
{
    union nv_call init;
    int rc;

    nv.library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!nv.library) {
        snprintf(nv.failure, sizeof(nv.failure), "%.150s", dlerror());
        return false;
    }
    init = find("nvmlInit_v2");
    rc = init.address ? init.init() : VG_NV_FUNCTION_NOT_FOUND;
    if (rc != VG_NV_SUCCESS)
        snprintf(nv.failure, sizeof(nv.failure), "nvmlInit_v2 returns %d", rc);
    return rc == VG_NV_SUCCESS;
}

bool vg_gauge_nvml_open(const char *library, struct vg_gauges *g)
{
    if (!start(library))
        return false;
    find_calls();
    ask_system(g);
    return true;
}

/* Which of several devices is the first, and which are hidden, the driver alone may know. */
static bool is_plain_order(int count)
{
    const char *order = getenv("CUDA_DEVICE_ORDER");

    if (getenv("CUDA_VISIBLE_DEVICES") || count < 1 || count > (int)VG_DEVICES_MAX)
        return false;
    return count == 1 || (order && strcmp(order, "PCI_BUS_ID") == 0);
}

/* Of one that is divided the driver shows parts. */
static bool is_whole(nv_device dev)
{
    union nv_call mig = find("nvmlDeviceGetMigMode");
    uint32_t now = 0, next;

    return !mig.address || mig.n2(dev, &now, &next) != VG_NV_SUCCESS || now != 1;
}

struct place {
    uint64_t address;
    nv_device device;
};

static bool find_place(unsigned index, struct place *ret_place)
{
    union nv_call handle = find("nvmlDeviceGetHandleByIndex_v2");
    union nv_call where = find("nvmlDeviceGetPciInfo_v3");
    struct vg_nv_pci pci = { .domain = 0 };

    if (!handle.address || handle.by_index(index, &ret_place->device) != VG_NV_SUCCESS ||
        !is_whole(ret_place->device))
        return false;
    if (where.address && where.n1(ret_place->device, &pci) == VG_NV_SUCCESS)
        ret_place->address = (uint64_t)pci.domain << 16 | pci.bus << 8 | pci.device;
    else if (index > 0)
        return false;
    return true;
}

static int by_address(const void *a, const void *b)
{
    const struct place *p = a, *q = b;

    return p->address < q->address ? -1 : p->address > q->address;
}

bool vg_gauge_nvml_alone(struct vg_gauges *g)
{
    union nv_call count = find("nvmlDeviceGetCount_v2");
    struct place place[VG_DEVICES_MAX] = { { 0, NULL } };
    int n = 0;

    if (!count.address || count.number(&n) != VG_NV_SUCCESS || !is_plain_order(n))
        return false;
    for (int i = 0; i < n; i++) {
        if (!find_place((unsigned)i, &place[i]))
            return false;
    }
    qsort(place, (size_t)n, sizeof(place[0]), by_address);
    g->device_count = (uint32_t)n;
    for (int i = 0; i < n; i++) {
        nv.device[i] = place[i].device;
        vg_gauge_clear(&g->device[i]);
        ask_rows(&g->device[i], nv.device[i], 0, FIRST_CHANGING);
    }
    vg_gauge_fabric_clear(g);
    vg_gauge_fabric_nvml(nv.device, g);
    return true;
}

void vg_gauge_nvml_bind(const struct vg_gauge_driver *d, struct vg_gauges *g)
{
    union nv_call handle = find("nvmlDeviceGetHandleByPciBusId_v2");

    for (int i = 0; i < d->count && handle.address; i++) {
        if (handle.handle(d->device[i].pci, &nv.device[i]) != VG_NV_SUCCESS)
            nv.device[i] = NULL;
        else
            ask_rows(&g->device[i], nv.device[i], 0, FIRST_CHANGING);
    }
    vg_gauge_fabric_nvml(nv.device, g);
}
