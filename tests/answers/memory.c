/* SPDX-License-Identifier: MIT */
/*
 * Misuse of memory: device, pinned and registered memory, pools, virtual memory.
 */
#include "groups.h"

#include <string.h>
#include <sys/mman.h>

static CUdeviceptr p, q, got;
static size_t size;
static unsigned flags;
static int value;
static void *host;
static char stack[256];

void device_memory(void)
{
    ask_start();
    SAY(cuMemAlloc_v2(&p, 4096));
    SAY(cuMemAlloc_v2(&q, 0));
    SAY(cuMemAlloc_v2(NULL, 4096));
    SAY(cuMemAlloc_v2(&q, (size_t)1 << 50));
    SAY(cuMemAlloc_v2(&q, SIZE_MAX));
    SAY(cuMemAllocPitch_v2(&q, &size, 0, 4, 4));
    SAY(cuMemAllocPitch_v2(&q, &size, 16, 0, 4));
    SAY(cuMemAllocPitch_v2(&q, &size, 16, 4, 3));
    SAY(cuMemAllocPitch_v2(&q, &size, 16, 4, 0));
    SAY(cuMemAllocPitch_v2(&q, &size, 16, 4, 32));
    SAY(cuMemAllocPitch_v2(&q, NULL, 16, 4, 4));
    SAY(cuMemAllocPitch_v2(NULL, &size, 16, 4, 4));
    SAY(cuMemAllocPitch_v2(&q, &size, SIZE_MAX, 4, 4));
    SAY(cuMemAllocPitch_v2(&q, &size, 4096, SIZE_MAX / 4096, 4));
    SAY(cuMemGetAddressRange_v2(&got, &size, p + 100));
    ask_say("from its start", got == p);
    ask_say("its size", (long long)size);
    SAY(cuMemGetAddressRange_v2(NULL, &size, p));
    SAY(cuMemGetAddressRange_v2(&got, NULL, p));
    SAY(cuMemGetAddressRange_v2(NULL, NULL, p));
    SAY(cuMemGetAddressRange_v2(&got, &size, 0));
    SAY(cuMemGetAddressRange_v2(&got, &size, 0x1234));
    SAY(cuMemGetAddressRange_v2(&got, &size, p + 4096));
    SAY(cuMemGetAddressRange_v2(&got, &size, (CUdeviceptr)stack));
    SAY(cuMemGetInfo_v2(NULL, NULL));
    SAY(cuMemGetInfo_v2(&size, NULL));
    SAY(cuMemFree_v2(0));
    SAY(cuMemFree_v2(0x1234));
    SAY(cuMemFree_v2(p + 16));
    SAY(cuMemFree_v2(p + 4096));
    SAY(cuMemFree_v2((CUdeviceptr)stack));
    SAY(cuMemFreeHost((void *)p));
    SAY(cuMemFree_v2(p));
    SAY(cuMemFree_v2(p));
    SAY(cuMemGetAddressRange_v2(&got, &size, p));
    SAY(cuMemcpyHtoD_v2(p, stack, 16));
    SAY(cuMemsetD8_v2(p, 0, 16));
    SAY(cuCtxSynchronize());
}

void host_memory(void)
{
    void *second;

    ask_start();
    SAY(cuMemHostAlloc(&host, 0, 0));
    SAY(cuMemHostAlloc(NULL, 4096, 0));
    SAY(cuMemHostAlloc(&host, 4096, 0x80));
    SAY(cuMemHostAlloc(&host, (size_t)1 << 50, 0));
    SAY(cuMemAllocHost_v2(&host, 0));
    SAY(cuMemAllocHost_v2(NULL, 64));
    SAY(cuMemAllocHost_v2(&host, 4096));
    SAY(cuMemHostGetFlags(&flags, host));
    ask_say("flags", flags);
    SAY(cuMemHostGetFlags(NULL, host));
    SAY(cuMemHostGetFlags(&flags, stack));
    SAY(cuMemHostGetFlags(&flags, NULL));
    SAY(cuMemHostGetDevicePointer_v2(&p, host, 0));
    SAY(cuMemHostGetDevicePointer_v2(&p, host, 1));
    SAY(cuMemHostGetDevicePointer_v2(NULL, host, 0));
    SAY(cuMemHostGetDevicePointer_v2(&p, stack, 0));
    SAY(cuMemHostGetDevicePointer_v2(&p, NULL, 0));
    SAY(cuMemHostGetDevicePointer_v2(&q, (char *)host + 100, 0));
    SAY(cuMemHostGetDevicePointer_v2(&q, (char *)host + 4096, 0));
    SAY(cuMemHostAlloc(&second, 100, CU_MEMHOSTALLOC_WRITECOMBINED | CU_MEMHOSTALLOC_PORTABLE));
    SAY(cuMemHostGetFlags(&flags, second));
    ask_say("flags", flags);
    SAY(cuMemFree_v2((CUdeviceptr)second));
    SAY(cuMemHostUnregister(second));
    SAY(cuMemFreeHost(NULL));
    SAY(cuMemFreeHost(stack));
    SAY(cuMemFreeHost((char *)second + 8));
    SAY(cuMemFreeHost(second));
    SAY(cuMemFreeHost(second));
    SAY(cuMemGetAddressRange_v2(&got, &size, (CUdeviceptr)host + 8));
    ask_say("its size", (long long)size);
    SAY(cuMemcpyHtoD_v2((CUdeviceptr)host, stack, 64));
    SAY(cuMemcpyHtoD_v2((CUdeviceptr)host + 4000, stack, 200));
    SAY(cuMemsetD32_v2((CUdeviceptr)host, 1, 1024));
    SAY(cuMemsetD32_v2((CUdeviceptr)host, 1, 1025));
    SAY(cuCtxSynchronize());
}

void registered_memory(void)
{
    char *map = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ask_start();
    SAY(cuMemHostRegister_v2(map, 0, 0));
    SAY(cuMemHostRegister_v2(NULL, 4096, 0));
    SAY(cuMemHostRegister_v2(map, 4096, 0x80));
    SAY(cuMemHostUnregister(map));
    SAY(cuMemHostUnregister(NULL));
    SAY(cuMemHostRegister_v2(map, 65536, 0));
    SAY(cuMemHostRegister_v2(map, 65536, 0));
    SAY(cuMemHostRegister_v2(map + 4096, 4096, 0));
    SAY(cuMemHostRegister_v2(map + 61440, 8192, 0));
    SAY(cuMemHostGetFlags(&flags, map));
    ask_say("flags", flags);
    SAY(cuMemHostGetDevicePointer_v2(&p, map, 0));
    SAY(cuMemHostGetDevicePointer_v2(&p, map + 65536, 0));
    SAY(cuMemFreeHost(map));
    SAY(cuMemHostUnregister(map + 4096));
    SAY(cuMemHostUnregister(map));
    SAY(cuMemHostUnregister(map));
    SAY(cuMemHostGetFlags(&flags, map));
    SAY(cuMemHostRegister_v2(map + 100, 5000, CU_MEMHOSTREGISTER_DEVICEMAP));
    SAY(cuMemHostGetDevicePointer_v2(&p, map + 100, 0));
    SAY(cuMemHostUnregister(map));
    SAY(cuMemHostUnregister(map + 100));
    SAY(cuMemHostRegister_v2(map, 4096, CU_MEMHOSTREGISTER_READ_ONLY));
    SAY(cuMemHostAlloc(&host, 65536, 0));
    SAY(cuMemHostRegister_v2(host, 65536, 0));
    SAY(cuMemHostUnregister(host));
    munmap(map + (512 << 10), 512 << 10);
    SAY(cuMemHostRegister_v2(map + (512 << 10), 65536, 0));
    SAY(cuMemHostRegister_v2(map + (448 << 10), 128 << 10, 0));
    SAY(cuMemAlloc_v2(&p, 4096));
    SAY(cuMemHostRegister_v2((void *)p, 4096, 0));
    SAY(cuCtxSynchronize());
}

#define ATTRIBUTE(what, pointer)                                                                \
    do {                                                                                        \
        memset(room, 0, sizeof(room));                                                          \
        SAY(cuPointerGetAttribute(room, CU_POINTER_ATTRIBUTE_##what, pointer));                 \
    } while (0)

void pointer_attributes(void)
{
    uint64_t room[16];
    CUpointer_attribute list[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                  CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, (CUpointer_attribute)99};
    void *data[] = {room, room + 1, room + 2};
    unsigned zero = 0;

    ask_start();
    p = ask_memory(4096);
    SAY(cuMemHostAlloc(&host, 4096, 0));
    ATTRIBUTE(MEMORY_TYPE, p + 8);
    ask_say("type", (long long)room[0]);
    ATTRIBUTE(MEMORY_TYPE, (CUdeviceptr)host);
    ask_say("type", (long long)room[0]);
    ATTRIBUTE(MEMORY_TYPE, (CUdeviceptr)stack);
    ATTRIBUTE(MEMORY_TYPE, 0);
    ATTRIBUTE(MEMORY_TYPE, 0x1234);
    ATTRIBUTE(MEMORY_TYPE, p + 4096);
    ATTRIBUTE(CONTEXT, (CUdeviceptr)host);
    ATTRIBUTE(CONTEXT, (CUdeviceptr)stack);
    ATTRIBUTE(DEVICE_POINTER, (CUdeviceptr)stack);
    ATTRIBUTE(HOST_POINTER, p);
    ATTRIBUTE(HOST_POINTER, (CUdeviceptr)stack);
    ATTRIBUTE(HOST_POINTER, (CUdeviceptr)host);
    ATTRIBUTE(DEVICE_ORDINAL, (CUdeviceptr)stack);
    ATTRIBUTE(IS_MANAGED, p);
    ask_say("managed", (long long)(room[0] & 0xff));
    ATTRIBUTE(IS_MANAGED, (CUdeviceptr)stack);
    ATTRIBUTE(RANGE_SIZE, p + 100);
    ask_say("size", (long long)room[0]);
    ATTRIBUTE(RANGE_SIZE, (CUdeviceptr)stack);
    ATTRIBUTE(MAPPED, p);
    ask_say("mapped", (long long)(room[0] & 0xff));
    ATTRIBUTE(MAPPED, (CUdeviceptr)stack);
    ATTRIBUTE(BUFFER_ID, (CUdeviceptr)stack);
    ATTRIBUTE(SYNC_MEMOPS, p);
    ask_say("synchronous", (long long)(room[0] & 0xff));
    ATTRIBUTE(MEMPOOL_HANDLE, p);
    ask_say("pool", room[0] != 0);
    ATTRIBUTE(ALLOWED_HANDLE_TYPES, p);
    ask_say("handle types", (long long)room[0]);
    ATTRIBUTE(ACCESS_FLAGS, p);
    ask_say("access", (long long)(room[0] & 0xff));
    SAY(cuPointerGetAttribute(room, (CUpointer_attribute)0, p));
    SAY(cuPointerGetAttribute(room, (CUpointer_attribute)99, p));
    SAY(cuPointerGetAttribute(NULL, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p));
    SAY(cuPointerGetAttributes(2, list, data, p));
    SAY(cuPointerGetAttributes(2, list, data, (CUdeviceptr)stack));
    ask_say("type", (long long)(unsigned)room[0]);
    ask_say("ordinal", (long long)(int)room[1]);
    SAY(cuPointerGetAttributes(3, list, data, p));
    SAY(cuPointerGetAttributes(0, list, data, p));
    SAY(cuPointerGetAttributes(2, NULL, data, p));
    SAY(cuPointerGetAttributes(2, list, NULL, p));
    SAY(cuPointerSetAttribute(&zero, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p));
    SAY(cuPointerSetAttribute(&zero, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, (CUdeviceptr)stack));
    SAY(cuPointerSetAttribute(&zero, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, p));
    SAY(cuPointerSetAttribute(NULL, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, p));
    SAY(cuMemFree_v2(p));
    ATTRIBUTE(MEMORY_TYPE, p);
    ATTRIBUTE(CONTEXT, p);
}

static CUmemoryPool pool_of(CUmemAllocationType type, CUmemLocationType where, int id,
                            CUmemAllocationHandleType handles, CUresult *ret_result)
{
    CUmemPoolProps props = {.allocType = type, .handleTypes = handles,
                            .location = {.type = where, .id = id}};
    CUmemoryPool pool = NULL;

    *ret_result = cu.cuMemPoolCreate(&pool, &props);
    return pool;
}

static CUresult pool_made(int type, int where, int id, int handles)
{
    CUresult r;
    CUmemoryPool pool = pool_of(type, where, id, handles, &r);

    if (pool)
        cu.cuMemPoolDestroy(pool);
    return r;
}
#define POOL(...) ASK("pool of " #__VA_ARGS__, pool_made(__VA_ARGS__))

static void pool_uses(CUmemoryPool pool, CUstream s)
{
    SAY(cuMemAllocAsync(NULL, 64, s));
    SAY(cuMemAllocAsync(&p, 0, s));
    SAY(cuMemAllocAsync(&p, (size_t)1 << 50, s));
    SAY(cuMemAllocAsync(&p, 4096, s));
    SAY(cuMemAllocFromPoolAsync(&q, 4096, NULL, s));
    SAY(cuMemAllocFromPoolAsync(&q, 4096, pool, s));
    SAY(cuMemFreeAsync(0, s));
    SAY(cuMemFreeAsync(0x1234, s));
    SAY(cuMemFreeAsync(p + 16, s));
    SAY(cuMemFreeAsync(p, s));
    SAY(cuMemFreeAsync(p, s));
    SAY(cuStreamSynchronize(s));
}

void pools(void)
{
    CUmemLocation here = {CU_MEM_LOCATION_TYPE_DEVICE, 0}, nowhere = here;
    CUmemAccessDesc access = {here, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUmemAccess_flags may;
    uint64_t room = 1;
    CUmemoryPool pool = NULL, standard;
    CUstream s = NULL;
    CUresult r;

    ask_start();
    nowhere.id = 64;
    SAY(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    SAY(cuMemPoolCreate(&pool, NULL));
    SAY(cuMemPoolCreate(NULL, &(CUmemPoolProps){0}));
    POOL(CU_MEM_ALLOCATION_TYPE_INVALID, CU_MEM_LOCATION_TYPE_DEVICE, 0, 0);
    POOL(CU_MEM_ALLOCATION_TYPE_PINNED, CU_MEM_LOCATION_TYPE_INVALID, 0, 0);
    POOL(CU_MEM_ALLOCATION_TYPE_PINNED, CU_MEM_LOCATION_TYPE_DEVICE, 64, 0);
    POOL(CU_MEM_ALLOCATION_TYPE_PINNED, CU_MEM_LOCATION_TYPE_DEVICE, -1, 0);
    POOL(CU_MEM_ALLOCATION_TYPE_PINNED, CU_MEM_LOCATION_TYPE_DEVICE, 0, 0x40);
    POOL(CU_MEM_ALLOCATION_TYPE_PINNED, CU_MEM_LOCATION_TYPE_DEVICE, 0, 2);
    POOL(9, CU_MEM_LOCATION_TYPE_DEVICE, 0, 0);
    pool = pool_of(CU_MEM_ALLOCATION_TYPE_PINNED, CU_MEM_LOCATION_TYPE_DEVICE, 0, 0, &r);
    ask_say("pool", r);
    SAY(cuDeviceGetDefaultMemPool(&standard, 0));
    SAY(cuDeviceGetDefaultMemPool(NULL, 0));
    SAY(cuDeviceGetMemPool(&standard, 64));
    SAY(cuDeviceSetMemPool(64, pool));
    SAY(cuDeviceSetMemPool(0, NULL));
    SAY(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &room));
    ask_say("threshold", (long long)room);
    SAY(cuMemPoolGetAttribute(pool, (CUmemPool_attribute)0, &room));
    SAY(cuMemPoolGetAttribute(pool, (CUmemPool_attribute)99, &room));
    SAY(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, NULL));
    SAY(cuMemPoolGetAttribute(NULL, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &room));
    SAY(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &room));
    room = 5;
    SAY(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH, &room));
    room = 0;
    SAY(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH, &room));
    SAY(cuMemPoolSetAccess(pool, &access, 1));
    SAY(cuMemPoolSetAccess(pool, &access, 0));
    SAY(cuMemPoolSetAccess(pool, NULL, 1));
    access.flags = CU_MEM_ACCESS_FLAGS_PROT_NONE;
    SAY(cuMemPoolSetAccess(pool, &access, 1));
    access.location = nowhere;
    SAY(cuMemPoolSetAccess(pool, &access, 1));
    SAY(cuMemPoolGetAccess(&may, pool, &here));
    SAY(cuMemPoolGetAccess(&may, pool, &nowhere));
    SAY(cuMemPoolGetAccess(NULL, pool, &here));
    pool_uses(pool, s);
}

static CUmemAllocationProp prop(int type, int where, int id)
{
    return (CUmemAllocationProp){.type = type, .location = {.type = where, .id = id}};
}
#define PINNED_HERE prop(CU_MEM_ALLOCATION_TYPE_PINNED, CU_MEM_LOCATION_TYPE_DEVICE, 0)

static void virtual_handles(size_t unit)
{
    CUmemGenericAllocationHandle h = 0;
    CUmemAllocationProp wrong = prop(9, CU_MEM_LOCATION_TYPE_DEVICE, 0), good = PINNED_HERE,
                        nowhere = prop(CU_MEM_ALLOCATION_TYPE_PINNED,
                                       CU_MEM_LOCATION_TYPE_DEVICE, 64);
    CUmemAccessDesc access = {{CU_MEM_LOCATION_TYPE_DEVICE, 0},
                              CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    unsigned long long may;

    SAY(cuMemCreate(&h, 0, &good, 0));
    SAY(cuMemCreate(&h, unit + 4096, &good, 0));
    SAY(cuMemCreate(&h, unit, &wrong, 0));
    SAY(cuMemCreate(&h, unit, &nowhere, 0));
    SAY(cuMemCreate(&h, unit, NULL, 0));
    SAY(cuMemCreate(NULL, unit, &good, 0));
    SAY(cuMemCreate(&h, unit, &good, 1));
    SAY(cuMemCreate(&h, unit, &good, 0));
    SAY(cuMemMap(p, unit, 0, 0, 0));
    SAY(cuMemMap(0x1234, unit, 0, h, 0));
    SAY(cuMemMap(p, 2 * unit, 0, h, 0));
    SAY(cuMemMap(p, unit, 4096, h, 0));
    SAY(cuMemMap(p, unit, 0, h, 1));
    SAY(cuMemSetAccess(p, unit, &access, 1));
    SAY(cuMemMap(p, unit, 0, h, 0));
    SAY(cuMemMap(p, unit, 0, h, 0));
    SAY(cuMemcpyHtoD_v2(p, stack, 16));
    SAY(cuMemGetAccess(&may, &access.location, p));
    SAY(cuMemSetAccess(p, unit, &access, 1));
    SAY(cuMemSetAccess(p, 2 * unit, &access, 1));
    SAY(cuMemSetAccess(p, unit, NULL, 1));
    SAY(cuMemSetAccess(p, unit, &access, 0));
    SAY(cuMemcpyHtoD_v2(p, stack, 16));
    SAY(cuMemcpyHtoD_v2(p + unit - 8, stack, 16));
    SAY(cuMemFree_v2(p));
    SAY(cuMemAddressFree(p, 4 * unit));
    SAY(cuMemUnmap(p + 4096, unit));
    SAY(cuMemUnmap(p, unit - 4096));
    SAY(cuMemRelease(h));
    SAY(cuMemUnmap(p, unit));
    SAY(cuMemUnmap(p, unit));
    SAY(cuMemRelease(0));
}

void virtual_memory(void)
{
    CUmemAllocationProp good = PINNED_HERE;
    size_t unit = 0;

    ask_start();
    SAY(cuMemGetAllocationGranularity(&unit, &good, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
    SAY(cuMemGetAllocationGranularity(NULL, &good, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
    SAY(cuMemGetAllocationGranularity(&size, NULL, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
    SAY(cuMemGetAllocationGranularity(&size, &good, (CUmemAllocationGranularity_flags)9));
    if (!unit)
        return;
    SAY(cuMemAddressReserve(&p, 0, 0, 0, 0));
    SAY(cuMemAddressReserve(&p, 4096, 0, 0, 0));
    SAY(cuMemAddressReserve(&p, unit, 3000, 0, 0));
    SAY(cuMemAddressReserve(&p, unit, 0, 0, 7));
    SAY(cuMemAddressReserve(NULL, unit, 0, 0, 0));
    SAY(cuMemAddressReserve(&p, 4 * unit, 0, 0, 0));
    SAY(cuMemAddressFree(p, unit));
    SAY(cuMemAddressFree(p + unit, unit));
    SAY(cuMemAddressFree(0x1234, unit));
    virtual_handles(unit);
    SAY(cuMemAddressFree(p, 4 * unit));
    SAY(cuMemAddressFree(p, 4 * unit));
}

void managed_memory(void)
{
    CUmemLocation here = {CU_MEM_LOCATION_TYPE_DEVICE, 0}, nowhere = here;

    ask_start();
    nowhere.id = 64;
    SAY(cuMemAllocManaged(&p, 0, CU_MEM_ATTACH_GLOBAL));
    SAY(cuMemAllocManaged(NULL, 4096, CU_MEM_ATTACH_GLOBAL));
    SAY(cuMemAllocManaged(&p, 4096, 0));
    SAY(cuMemAllocManaged(&p, 4096, 0x40));
    SAY(cuMemAllocManaged(&p, 65536, CU_MEM_ATTACH_GLOBAL));
    SAY(cuMemPrefetchAsync_v2(0, 4096, here, 0, NULL));
    SAY(cuMemPrefetchAsync_v2(p, 0, here, 0, NULL));
    SAY(cuMemPrefetchAsync_v2(p, 4096, nowhere, 0, NULL));
    SAY(cuMemPrefetchAsync_v2(p, 1 << 20, here, 0, NULL));
    SAY(cuMemPrefetchAsync_v2(p, 4096, here, 1, NULL));
    SAY(cuMemAdvise_v2(p, 4096, CU_MEM_ADVISE_SET_READ_MOSTLY, here));
    SAY(cuMemAdvise_v2(p, 4096, (CUmem_advise)99, here));
    SAY(cuMemAdvise_v2(p, 0, CU_MEM_ADVISE_SET_READ_MOSTLY, here));
    SAY(cuMemAdvise_v2(p, 4096, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, nowhere));
    SAY(cuMemRangeGetAttribute(&value, 4, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, p, 4096));
    SAY(cuMemRangeGetAttribute(&value, 3, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, p, 4096));
    SAY(cuMemRangeGetAttribute(&value, 4, (CUmem_range_attribute)99, p, 4096));
    SAY(cuMemRangeGetAttribute(NULL, 4, CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, p, 4096));
    SAY(cuStreamAttachMemAsync(NULL, p, 0, CU_MEM_ATTACH_SINGLE));
    SAY(cuStreamAttachMemAsync(NULL, 0, 0, CU_MEM_ATTACH_GLOBAL));
    q = ask_memory(4096);
    SAY(cuMemPrefetchAsync_v2(q, 4096, here, 0, NULL));
    SAY(cuMemAdvise_v2(q, 4096, CU_MEM_ADVISE_SET_READ_MOSTLY, here));
    SAY(cuMemFreeHost((void *)p));
    SAY(cuMemFree_v2(p));
    SAY(cuMemFree_v2(p));
    SAY(cuCtxSynchronize());
}
