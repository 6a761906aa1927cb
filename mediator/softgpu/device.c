/* SPDX-License-Identifier: MIT */
/*
 * Makes a device of what this machine can offer (machine.h), and answers the queries about it. Every
 * value is measured or a limit of the interpreter; nothing claims to be hardware that is not there.
 */
#include "device.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "ctx.h"
#include "kernel.h"
#include "machine.h"
#include "pool.h"

static struct vg_device devices[VG_DEVICES_MAX];
static unsigned device_count;
static pthread_once_t device_once = PTHREAD_ONCE_INIT;
static CUresult device_state = CUDA_ERROR_NOT_INITIALIZED;

static void device_make_uuid(struct vg_device *d, unsigned machine)
{
    uint64_t half[2];

    half[0] = vg_machine_hash(machine);
    half[1] = vg_machine_hash(half[0]);
    memcpy(d->uuid.bytes, half, sizeof(half));
    d->uuid.bytes[6] = (char)((d->uuid.bytes[6] & 0x0f) | 0x80);        /* RFC 9562: custom */
    d->uuid.bytes[8] = (char)((d->uuid.bytes[8] & 0x3f) | 0x80);
}

/* --------------------------------------------------------------- attributes */

struct vg_attr {
    CUdevice_attribute id;
    int value;
};

/* What does not depend on the machine. Attributes not named here are 0: no such feature. */
static const struct vg_attr attr_fixed[] = {
    { CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, VG_BLOCK_THREADS_MAX },
    { CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, 1024 },
    { CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, 1024 },
    { CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, 64 },
    { CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, 2147483647 },
    { CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, 65535 },
    { CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, 65535 },
    { CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, VG_BLOCK_SHARED },
    { CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY, 65536 },
    { CU_DEVICE_ATTRIBUTE_WARP_SIZE, VG_WARP },
    { CU_DEVICE_ATTRIBUTE_MAX_PITCH, 2147483647 },
    { CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK, VG_SM_REGS },
    { CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT, 512 },
    { CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT, 32 },
    { CU_DEVICE_ATTRIBUTE_SURFACE_ALIGNMENT, 512 },
    { CU_DEVICE_ATTRIBUTE_GPU_OVERLAP, 1 },
    { CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY, 1 },
    { CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS, 1 },
    { CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, VG_SM_THREADS },
    { CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT, 1 },
    { CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1 },
    { CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED, 1 },
    { CU_DEVICE_ATTRIBUTE_GLOBAL_L1_CACHE_SUPPORTED, 1 },
    { CU_DEVICE_ATTRIBUTE_LOCAL_L1_CACHE_SUPPORTED, 1 },
    { CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, VG_SM_SHARED },
    { CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR, VG_SM_REGS },
    { CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY, 1 },
    { CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, 1 },
    { CU_DEVICE_ATTRIBUTE_DIRECT_MANAGED_MEM_ACCESS_FROM_HOST, 1 },
    { CU_DEVICE_ATTRIBUTE_HOST_NATIVE_ATOMIC_SUPPORTED, 1 },
    { CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO, 1 },
    { CU_DEVICE_ATTRIBUTE_COMPUTE_PREEMPTION_SUPPORTED, 1 },
    { CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM, 1 },
    { CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS, 1 },
    { CU_DEVICE_ATTRIBUTE_CAN_USE_STREAM_WAIT_VALUE_NOR, 1 },
    { CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH, 1 },
    { CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, VG_BLOCK_SHARED_OPTIN },
    { CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED, 1 },
    { CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED, 1 },
    { CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR, VG_SM_BLOCKS },
    { CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK, VG_BLOCK_SHARED_RESERVED },
    { CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, 1 },
    { CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, 1 },
    { CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED, 1 },
    { CU_DEVICE_ATTRIBUTE_IPC_EVENT_SUPPORTED, 1 },
    { CU_DEVICE_ATTRIBUTE_MEMPOOL_SUPPORTED_HANDLE_TYPES,
      CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR },
    { CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WRITES_ORDERING,
      CU_GPU_DIRECT_RDMA_WRITES_ORDERING_ALL_DEVICES },
    { CU_DEVICE_ATTRIBUTE_MEM_SYNC_DOMAIN_COUNT, 1 },
    /* Textures and surfaces: no limit is ours, so these are what programs are used to. */
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE1D_WIDTH, 131072 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_WIDTH, 131072 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_HEIGHT, 65536 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_WIDTH, 16384 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_HEIGHT, 16384 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_DEPTH, 16384 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_LAYERED_WIDTH, 32768 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_LAYERED_HEIGHT, 32768 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_LAYERED_LAYERS, 2048 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE1D_LAYERED_WIDTH, 32768 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE1D_LAYERED_LAYERS, 2048 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_GATHER_WIDTH, 32768 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_GATHER_HEIGHT, 32768 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_WIDTH_ALTERNATE, 8192 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_HEIGHT_ALTERNATE, 8192 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_DEPTH_ALTERNATE, 32768 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURECUBEMAP_WIDTH, 32768 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURECUBEMAP_LAYERED_WIDTH, 32768 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURECUBEMAP_LAYERED_LAYERS, 2046 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE1D_WIDTH, 32768 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE2D_WIDTH, 131072 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE2D_HEIGHT, 65536 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE3D_WIDTH, 16384 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE3D_HEIGHT, 16384 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE3D_DEPTH, 16384 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE1D_LAYERED_WIDTH, 32768 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE1D_LAYERED_LAYERS, 2048 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE2D_LAYERED_WIDTH, 32768 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE2D_LAYERED_HEIGHT, 32768 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE2D_LAYERED_LAYERS, 2048 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACECUBEMAP_WIDTH, 32768 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACECUBEMAP_LAYERED_WIDTH, 32768 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACECUBEMAP_LAYERED_LAYERS, 2046 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE1D_LINEAR_WIDTH, 268435456 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_LINEAR_WIDTH, 131072 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_LINEAR_HEIGHT, 65000 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_LINEAR_PITCH, 2097120 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_MIPMAPPED_WIDTH, 32768 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_MIPMAPPED_HEIGHT, 32768 },
    { CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE1D_MIPMAPPED_WIDTH, 32768 },
    { CU_DEVICE_ATTRIBUTE_NUMA_ID, -1 },
    { CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID, 0 },
};

static void device_fill_attrs(struct vg_device *d)
{
    double mhz = vg_machine_cpu_mhz();
    size_t i;

    for (i = 0; i < VG_ARRAY_LEN(attr_fixed); i++)
        d->attr[attr_fixed[i].id] = attr_fixed[i].value;
    d->attr[CU_DEVICE_ATTRIBUTE_CLOCK_RATE] = mhz > 0 ? (int)(mhz * 1000) : 1000000;
    d->attr[CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE] = d->attr[CU_DEVICE_ATTRIBUTE_CLOCK_RATE];
    d->attr[CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH] = 64;
    d->attr[CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT] = (int)d->cores;
    d->attr[CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE] = vg_machine_cache(_SC_LEVEL3_CACHE_SIZE);
    d->attr[CU_DEVICE_ATTRIBUTE_PCI_BUS_ID] = 0xfe;
    d->attr[CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR] = d->cc_major;
    d->attr[CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR] = d->cc_minor;
}

/* ----------------------------------------------------------- initialisation */

/* `machine`: which of the machine's it is, from which its identity follows. */
static void device_make(struct vg_device *d, int ordinal, unsigned machine)
{
    unsigned long cc = vg_machine_number("VGPU_SOFT_CC", 80, 129);

    d->ordinal = ordinal;
    snprintf(d->name, sizeof(d->name), "vGPU software device");
    snprintf(d->pci_id, sizeof(d->pci_id), "0000:FE:%02X.0", machine);
    d->cores = (unsigned)vg_machine_number("VGPU_SOFT_CORES", vg_machine_cores(), 1024);
    d->memory = vg_machine_number("VGPU_SOFT_MEMORY_MIB", vg_machine_memory_mib(), 1ul << 20) << 20;
    d->cc_major = (int)cc / 10;
    d->cc_minor = (int)cc % 10;
    device_make_uuid(d, machine);
    device_fill_attrs(d);
    d->attr[CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID] = (int)machine;
}

static void device_after_fork(void)
{
    device_state = CUDA_ERROR_NOT_INITIALIZED;
}

static void device_init(void)
{
    unsigned machine[VG_DEVICES_MAX], n = vg_machine_devices(machine), i;

    device_state = CUDA_ERROR_NO_DEVICE;
    if (n == 0)
        return;
    for (i = 0; i < n; i++)
        device_make(&devices[i], (int)i, machine[i]);
    device_state = CUDA_ERROR_OUT_OF_MEMORY;
    if (vg_arena_init(n, devices[0].memory) != 0 || vg_kernel_init(devices[0].cores) != 0)
        return;
    for (i = 0; i < n; i++) {
        devices[i].primary = vg_ctx_new_primary(&devices[i]);
        devices[i].default_pool = vg_pool_new(&devices[i]);
        devices[i].current_pool = devices[i].default_pool;
        if (devices[i].primary == NULL || devices[i].default_pool == NULL)
            return;
    }
    device_count = n;
    pthread_atfork(NULL, NULL, device_after_fork);
    __atomic_store_n(&device_state, CUDA_SUCCESS, __ATOMIC_RELEASE);
}

CUresult vg_init_check(void)
{
    return __atomic_load_n(&device_state, __ATOMIC_ACQUIRE);
}

struct vg_device *vg_device_get(CUdevice ordinal)
{
    return ordinal >= 0 && (unsigned)ordinal < device_count ? &devices[ordinal] : NULL;
}

unsigned vg_device_count(void)
{
    return device_count;
}

CUresult vg_device_enter(CUdevice ordinal, struct vg_device **ret)
{
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    *ret = vg_device_get(ordinal);
    return *ret != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

/* ------------------------------------------------------------- entry points */

VG_ENTRY(cuInit, (unsigned flags))
{
    if (flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_once(&device_once, device_init);
    return vg_init_check();
}

VG_ENTRY(cuDriverGetVersion, (int *version))
{
    if (version == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *version = VG_DRIVER_VERSION;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuDeviceGetCount, (int *count))
{
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    if (count == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *count = (int)device_count;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuDeviceGet, (CUdevice *device, int ordinal))
{
    struct vg_device *d;
    CUresult rc = vg_device_enter(ordinal, &d);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (device == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *device = d->ordinal;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuDeviceGetName, (char *name, int len, CUdevice dev))
{
    struct vg_device *d;
    CUresult rc = vg_device_enter(dev, &d);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (name == NULL || len <= 0)
        return CUDA_ERROR_INVALID_VALUE;
    snprintf(name, (size_t)len, "%s", d->name);
    return CUDA_SUCCESS;
}

VG_ENTRY(cuDeviceGetUuid_v2, (CUuuid *uuid, CUdevice dev))
{
    struct vg_device *d;
    CUresult rc = vg_device_enter(dev, &d);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (uuid == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *uuid = d->uuid;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuDeviceGetUuid, (CUuuid *uuid, CUdevice dev))
{
    return cuDeviceGetUuid_v2(uuid, dev);
}

/* LUIDs name adapters of Windows. */
VG_ENTRY(cuDeviceGetLuid, (char *luid, unsigned *node_mask, CUdevice dev))
{
    struct vg_device *d;
    CUresult rc = vg_device_enter(dev, &d);

    (void)luid;
    (void)node_mask;
    return rc != CUDA_SUCCESS ? rc : CUDA_ERROR_NOT_SUPPORTED;
}

VG_ENTRY(cuDeviceTotalMem_v2, (size_t *bytes, CUdevice dev))
{
    struct vg_device *d;
    CUresult rc = vg_device_enter(dev, &d);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (bytes == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *bytes = d->memory;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuDeviceGetAttribute, (int *value, CUdevice_attribute attr, CUdevice dev))
{
    struct vg_device *d;
    CUresult rc = vg_device_enter(dev, &d);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (value == NULL || (int)attr < 1 || attr >= CU_DEVICE_ATTRIBUTE_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    *value = d->attr[attr];
    return CUDA_SUCCESS;
}

VG_ENTRY(cuDeviceGetPCIBusId, (char *id, int len, CUdevice dev))
{
    struct vg_device *d;
    CUresult rc = vg_device_enter(dev, &d);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (id == NULL || len <= (int)strlen(d->pci_id))
        return CUDA_ERROR_INVALID_VALUE;
    strcpy(id, d->pci_id);
    return CUDA_SUCCESS;
}

/* Accepts domain:bus:device.function, domain:bus:device and bus:device, hexadecimal. */
static int pci_id_parse(const char *s, unsigned id[4])
{
    char end;

    memset(id, 0, 4 * sizeof(id[0]));
    if (sscanf(s, "%x:%x:%x.%x%c", &id[0], &id[1], &id[2], &id[3], &end) == 4)
        return 0;
    if (sscanf(s, "%x:%x:%x%c", &id[0], &id[1], &id[2], &end) == 3)
        return 0;
    if (sscanf(s, "%x:%x.%x%c", &id[1], &id[2], &id[3], &end) == 3)
        return 0;
    return sscanf(s, "%x:%x%c", &id[1], &id[2], &end) == 2 ? 0 : -1;
}

VG_ENTRY(cuDeviceGetByPCIBusId, (CUdevice *dev, const char *pci_id))
{
    CUresult rc = vg_init_check();
    unsigned id[4], i;

    if (rc != CUDA_SUCCESS)
        return rc;
    if (dev == NULL || pci_id == NULL || pci_id_parse(pci_id, id) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    for (i = 0; id[0] == 0 && id[1] == 0xfe && id[3] == 0 && i < device_count; i++) {
        if (devices[i].attr[CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID] != (int)id[2])
            continue;
        *dev = (CUdevice)i;
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_DEVICE;
}

VG_ENTRY(cuDeviceComputeCapability, (int *major, int *minor, CUdevice dev))
{
    struct vg_device *d;
    CUresult rc = vg_device_enter(dev, &d);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (major == NULL || minor == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *major = d->cc_major;
    *minor = d->cc_minor;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuDeviceGetProperties, (CUdevprop *prop, CUdevice dev))
{
    struct vg_device *d;
    CUresult rc = vg_device_enter(dev, &d);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (prop == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    memset(prop, 0, sizeof(*prop));
    prop->maxThreadsPerBlock = d->attr[CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK];
    memcpy(prop->maxThreadsDim, &d->attr[CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X], 3 * sizeof(int));
    memcpy(prop->maxGridSize, &d->attr[CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X], 3 * sizeof(int));
    prop->sharedMemPerBlock = d->attr[CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK];
    prop->totalConstantMemory = d->attr[CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY];
    prop->SIMDWidth = d->attr[CU_DEVICE_ATTRIBUTE_WARP_SIZE];
    prop->memPitch = d->attr[CU_DEVICE_ATTRIBUTE_MAX_PITCH];
    prop->regsPerBlock = d->attr[CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK];
    prop->clockRate = d->attr[CU_DEVICE_ATTRIBUTE_CLOCK_RATE];
    prop->textureAlign = d->attr[CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT];
    return CUDA_SUCCESS;
}

VG_ENTRY(cuDeviceGetExecAffinitySupport, (int *value, CUexecAffinityType type, CUdevice dev))
{
    struct vg_device *d;
    CUresult rc = vg_device_enter(dev, &d);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (value == NULL || type >= CU_EXEC_AFFINITY_TYPE_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    *value = 0;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuDeviceCanAccessPeer, (int *can, CUdevice dev, CUdevice peer))
{
    struct vg_device *d, *p;
    CUresult rc = vg_device_enter(dev, &d);

    if (rc == CUDA_SUCCESS)
        rc = vg_device_enter(peer, &p);
    if (rc != CUDA_SUCCESS)
        return rc;
    if (can == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *can = d != p;
    return CUDA_SUCCESS;
}

/* All devices are the same memory, so peers are as near as a device is to itself. */
VG_ENTRY(cuDeviceGetP2PAttribute,
         (int *value, CUdevice_P2PAttribute attr, CUdevice src, CUdevice dst))
{
    struct vg_device *d, *p;
    CUresult rc = vg_device_enter(src, &d);

    if (rc == CUDA_SUCCESS)
        rc = vg_device_enter(dst, &p);
    if (rc != CUDA_SUCCESS)
        return rc;
    if (value == NULL || d == p)
        return d == p ? CUDA_ERROR_INVALID_DEVICE : CUDA_ERROR_INVALID_VALUE;
    *value = attr == CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED ||
             attr == CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED;
    return CUDA_SUCCESS;
}

/* Atomics are the processor's own, on any memory: whatever a kernel can do at all. */
static CUresult atomic_capabilities(unsigned *caps, const CUatomicOperation *ops, unsigned n)
{
    const unsigned scalar = CU_ATOMIC_CAPABILITY_REDUCTION | CU_ATOMIC_CAPABILITY_SCALAR_32 |
                            CU_ATOMIC_CAPABILITY_SCALAR_64;
    unsigned i;

    if (caps == NULL || ops == NULL || n == 0)
        return CUDA_ERROR_INVALID_VALUE;
    for (i = 0; i < n; i++) {
        if ((unsigned)ops[i] >= CU_ATOMIC_OPERATION_MAX)
            return CUDA_ERROR_INVALID_VALUE;
        if (ops[i] >= CU_ATOMIC_OPERATION_FLOAT_MIN)
            caps[i] = 0;
        else if (ops[i] == CU_ATOMIC_OPERATION_FLOAT_ADD)
            caps[i] = scalar;
        else
            caps[i] = scalar | CU_ATOMIC_CAPABILITY_UNSIGNED | CU_ATOMIC_CAPABILITY_SIGNED;
    }
    return CUDA_SUCCESS;
}

VG_ENTRY(cuDeviceGetHostAtomicCapabilities,
         (unsigned *caps, const CUatomicOperation *ops, unsigned n, CUdevice dev))
{
    struct vg_device *d;
    CUresult rc = vg_device_enter(dev, &d);

    return rc != CUDA_SUCCESS ? rc : atomic_capabilities(caps, ops, n);
}

VG_ENTRY(cuDeviceGetP2PAtomicCapabilities, (unsigned *caps, const CUatomicOperation *ops,
                                            unsigned n, CUdevice src, CUdevice dst))
{
    struct vg_device *d, *p;
    CUresult rc = vg_device_enter(src, &d);

    if (rc == CUDA_SUCCESS)
        rc = vg_device_enter(dst, &p);
    return rc != CUDA_SUCCESS ? rc : atomic_capabilities(caps, ops, n);
}
