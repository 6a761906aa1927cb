/* SPDX-License-Identifier: MIT */
/*
 * cuGetExportTable: the unnamed tables through which CUDA's own libraries reach the
 * driver. Six are needed by every cudart, which asks for a seventh; two more by
 * cuBLASLt and cuFFT. All are answered in the guest. Each table is {its size in bytes,
 * slots...}, but the context-local storage, which ends with a NULL slot instead. Slots
 * nobody was seen to call answer CUDA_ERROR_NOT_SUPPORTED.
 *
 * Tables whose functions nobody has described are refused: a library that is told no
 * takes its other way, one that is handed a table of failures believes in it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest-shim/cls.h"
#include "guest-shim/ctx.h"
#include "guest-shim/entry.h"
#include "guest-shim/integrity.h"
#include "guest-shim/jitcache.h"
#include "guest-shim/state.h"
#include "vg_api.h"

#define SLOT(f) ((vg_function *)(uintptr_t)(f))
#define SIZE(slots) SLOT((slots) * sizeof(void *))
#define NO ((vg_function *)(uintptr_t)not_supported)

static CUresult not_supported(void)
{
    return vg_unsupported("a function of a private table (cuGetExportTable)");
}

/* ---- cudart's own interface -------------------------------------------------- */

static CUresult primary_handle(CUcontext *out, CUdevice dev)
{
    return out ? vg_ctx_primary_handle(dev, out) : CUDA_ERROR_INVALID_VALUE;
}

/* The wrapper around a fatbin that nvcc puts into programs. */
struct fatbin_wrapper {
    uint32_t magic, version;
    const void *data;
    void *filename;
};

static CUresult module_from_wrapper(CUmodule *out, const struct fatbin_wrapper *wrapper)
{
    return wrapper ? cuModuleLoadData(out, wrapper->data) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult module_from_wrapper_ex(CUmodule *out, const struct fatbin_wrapper *wrapper, void *a,
                                       void *b, unsigned c)
{
    (void)a;
    (void)b;
    (void)c;
    return module_from_wrapper(out, wrapper);
}

static CUresult module_from_fatbin(const void *fatbin, CUmodule *out)
{
    return cuModuleLoadData(out, fatbin);
}

static void ignore(size_t n)
{
    (void)n;
}

static CUresult nothing(void)
{
    return CUDA_SUCCESS;
}

static vg_function *const cudart_table[] = {
    SIZE(13), SLOT(module_from_wrapper), SLOT(primary_handle), NO, NO, NO,
    SLOT(module_from_wrapper_ex), SLOT(ignore), SLOT(module_from_fatbin), NO, NO, NO, SLOT(nothing),
};

/* ---- hooks of tools: no tool is attached, so all enable bits are zero --------- */

static CUresult hooks_runtime(void **out, size_t *count)
{
    static uint32_t enabled[1024];

    *out = enabled;
    *count = sizeof(enabled) / sizeof(enabled[0]);
    return CUDA_SUCCESS;
}

static CUresult hooks_domain(void **out, size_t *count)
{
    static uint32_t enabled[14];

    *out = enabled;
    *count = sizeof(enabled) / sizeof(enabled[0]);
    return CUDA_SUCCESS;
}

static vg_function *const hooks_table[] = {
    SIZE(7), NO, SLOT(hooks_runtime), NO, NO, NO, SLOT(hooks_domain),
};

static CUresult tls_current(CUcontext *out)
{
    *out = vg_tls.ctx ? vg_tls.ctx->handle : NULL;
    return CUDA_SUCCESS;
}

static vg_function *const tls_table[] = {SIZE(3), NO, SLOT(tls_current)};

/* ---- context-local storage ---------------------------------------------------- */

/* NULL and -1 mean the current one. */
static struct vg_ctx *storage_ctx(CUcontext ctx)
{
    if (!ctx || ctx == (CUcontext)-1)
        return vg_tls.ctx;
    if (vg_tls.ctx && vg_tls.ctx->handle == ctx)
        return vg_tls.ctx;
    return vg_ctx_find(ctx);
}

static CUresult storage_put(CUcontext ctx, void *key, void *value, vg_cls_dtor *dtor)
{
    struct vg_ctx *c = storage_ctx(ctx);

    if (!c)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (!key)
        return CUDA_ERROR_INVALID_VALUE;
    return vg_cls_put(c, key, value, dtor) ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

static CUresult storage_delete(CUcontext ctx, void *key)
{
    struct vg_ctx *c = storage_ctx(ctx);

    if (!c)
        return CUDA_ERROR_INVALID_CONTEXT;
    return vg_cls_delete(c, key) ? CUDA_ERROR_INVALID_HANDLE : CUDA_SUCCESS;
}

/* cudart asks before it has made a context, and takes this error as "nothing there yet". */
static CUresult storage_get(void **out, CUcontext ctx, void *key)
{
    struct vg_ctx *c = storage_ctx(ctx);

    return !c || vg_cls_get(c, key, out) ? CUDA_ERROR_INVALID_HANDLE : CUDA_SUCCESS;
}

static vg_function *const storage_table[] = {
    SLOT(storage_put), SLOT(storage_delete), SLOT(storage_get), NULL,
};

/* ---- checks of contexts -------------------------------------------------------- */

static CUresult check_ctx(CUcontext ctx, uint32_t *out, void **out2)
{
    (void)ctx;
    (void)out2;
    *out = 0;
    return CUDA_SUCCESS;
}

static vg_function *const checks_table[] = {
    SIZE(15), NO, SLOT(check_ctx), SLOT(nothing), NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
};

/* ---- integrity ------------------------------------------------------------------ */

static CUresult integrity(uint32_t version, uint64_t seconds, uint8_t out[16]);

static vg_function *const integrity_table[] = {SIZE(3), SLOT(integrity), NO};

static CUresult integrity(uint32_t version, uint64_t seconds, uint8_t out[16])
{
    const struct vg_integrity_tables tables = {cudart_table, integrity_table,
                                               (const void *)(uintptr_t)integrity};

    return vg_integrity(version, seconds, &tables, out);
}

/* cudart asks for it before cuInit and was never seen to call it. */
static vg_function *const start_table[] = {SIZE(3), NO, NO};

/* ---- what cuBLASLt and cuFFT ask ------------------------------------------------ */

/* A constant 1, as the driver answers. */
static CUresult context_kind(CUcontext ctx, uint32_t *out)
{
    (void)ctx;
    *out = 1;
    return CUDA_SUCCESS;
}

/* What a stream may use of the device: an object of the driver's, only passed back to it. */
static CUresult stream_object(CUcontext ctx, CUstream stream, void **out)
{
    static uint64_t whole_device[8];

    (void)ctx;
    if (stream == (CUstream)-1)
        return CUDA_ERROR_INVALID_HANDLE;
    *out = whole_device;
    return CUDA_SUCCESS;
}

static CUresult stream_object_value(CUcontext ctx, void *object, uint64_t *out)
{
    (void)ctx;
    (void)object;
    *out = 0;
    return CUDA_SUCCESS;
}

#define TOOLS_CONTEXT_SLOTS 93u
static vg_function *tools_context_table[TOOLS_CONTEXT_SLOTS];

/* Calls back for each function of a module; returns how many there are. */
typedef int function_visitor(void *opaque, CUfunction function, uint64_t index);

static unsigned visit_functions(CUcontext ctx, CUmodule module, function_visitor *visit,
                                void *opaque)
{
    unsigned count = 0;

    (void)ctx;
    if (!visit || cuModuleGetFunctionCount(&count, module) || !count)
        return 0;
    CUfunction *all = calloc(count, sizeof(*all));
    if (!all || cuModuleEnumerateFunctions(all, count, module))
        count = 0;
    for (unsigned i = 0; i < count; i++)
        visit(opaque, all[i], i);
    free(all);
    return count;
}

#define TOOLS_MODULE_SLOTS 99u
static vg_function *tools_module_table[TOOLS_MODULE_SLOTS];

/*
 * cuBLASLt asks slot 4 which SMs stand together, and does without where it is refused; without the
 * table it crashes.
 */
#define TOPOLOGY_SLOTS 17u
static vg_function *topology_table[TOPOLOGY_SLOTS];

static void __attribute__((constructor)) fill_tables(void)
{
    for (unsigned i = 0; i < TOOLS_CONTEXT_SLOTS; i++)
        tools_context_table[i] = NO;
    for (unsigned i = 0; i < TOOLS_MODULE_SLOTS; i++)
        tools_module_table[i] = NO;
    for (unsigned i = 0; i < TOPOLOGY_SLOTS; i++)
        topology_table[i] = NO;
    topology_table[0] = SIZE(TOPOLOGY_SLOTS);
    tools_context_table[0] = SIZE(TOOLS_CONTEXT_SLOTS);
    tools_context_table[4] = SLOT(context_kind);
    tools_context_table[39] = SLOT(stream_object_value);
    tools_context_table[51] = SLOT(stream_object);
    tools_module_table[0] = SIZE(TOOLS_MODULE_SLOTS);
    tools_module_table[7] = SLOT(visit_functions);
}

/* ---- what compilers have compiled before ----------------------------------------- */

/* kind: 1, to machine code; 2, to PTX. More arguments follow, of which the compiler's address
 * tells enough. */
static CUresult compiled_open(struct vg_jitcache **out, unsigned kind, const void *input,
                              size_t bytes, const char *options, const char *target)
{
    return vg_jitcache_open(out, kind, input, bytes, options, target, __builtin_return_address(0));
}

static CUresult compiled_close(struct vg_jitcache *c)
{
    vg_jitcache_close(c);
    return CUDA_SUCCESS;
}

static CUresult compiled_find(const struct vg_jitcache *c, uint64_t flags, void **out,
                              uint32_t *bytes)
{
    if (!c || !out || !bytes)
        return CUDA_ERROR_INVALID_VALUE;
    return flags ? CUDA_ERROR_NOT_FOUND : vg_jitcache_find(c, out, bytes);
}

static CUresult compiled_put(const struct vg_jitcache *c, uint64_t flags, const void *data,
                             size_t bytes)
{
    if (!c)
        return CUDA_ERROR_INVALID_VALUE;
    return flags ? CUDA_SUCCESS : vg_jitcache_put(c, data, bytes);
}

static CUresult compiled_free(void *data)
{
    vg_jitcache_free(data);
    return CUDA_SUCCESS;
}

static vg_function *const compiled_table[] = {
    SIZE(7), SLOT(compiled_open), SLOT(compiled_close), SLOT(compiled_find), SLOT(compiled_put),
    NO, SLOT(compiled_free),
};

/* ---- the lookup ----------------------------------------------------------------- */

static const struct {
    uint8_t uuid[16];
    const void *table;
} tables[] = {
    {"\x6b\xd5\xfb\x6c\x5b\xf4\xe7\x4a\x89\x87\xd9\x39\x12\xfd\x9d\xf9", cudart_table},
    {"\xa0\x94\x79\x8c\x2e\x74\x2e\x74\x93\xf2\x08\x00\x20\x0c\x0a\x66", hooks_table},
    {"\x42\xd8\x5a\x81\x23\xf6\xcb\x47\x82\x98\xf6\xe7\x8a\x3a\xec\xdc", tls_table},
    {"\xc6\x93\x33\x6e\x11\x21\xdf\x11\xa8\xc3\x68\xf3\x55\xd8\x95\x93", storage_table},
    {"\x26\x3e\x88\x60\x7c\xd2\x61\x43\x92\xf6\xbb\xd5\x00\x6d\xfa\x7e", checks_table},
    {"\xd4\x08\x20\x55\xbd\xe6\x70\x4b\x8d\x34\xba\x12\x3c\x66\xe1\xf2", integrity_table},
    {"\x21\x31\x8c\x60\x97\x14\x32\x48\x8c\xa6\x41\xff\x73\x24\xc8\xf2", tools_context_table},
    {"\x6e\x16\x3f\xbe\xb9\x58\x44\x4d\x83\x5c\xe1\x82\xaf\xf1\x99\x1e", tools_module_table},
    {"\xf8\xcf\xf9\x51\x21\x46\x8b\x4e\xb9\xe2\xfb\x46\x9e\x7c\x0d\xd9", start_table},
    {"\x17\x34\xdc\x26\x80\x0d\x47\x45\x87\x26\xc0\xf1\xe7\xdd\x8b\xca", topology_table},
    {"\xda\x91\x51\xd3\x3a\xe6\xcc\x41\xa5\xc0\x4f\x26\xd5\x33\xe3\x28", compiled_table},
};

/* Asked for by libraries that run without: what they lose. */
#define PROFILING "profiling by CUPTI"
static const struct {
    uint8_t uuid[16];
    const char *what;
} refused[] = {
    {"\x2c\x8e\x0a\xd8\x07\x10\xab\x4e\x90\xdd\x54\x71\x9f\xe5\xf7\x4b", PROFILING},
    {"\xb1\x05\x41\xe1\xf7\xc7\xc7\x4a\x9f\x64\xf2\x23\xbe\x99\xf1\xe2", PROFILING},
    {"\xf6\xd3\xf4\xd9\x2d\xe3\x80\x40\x9f\x0c\x05\x8c\xf1\xb2\x90\x6b", PROFILING},
    {"\xd7\xbd\x8a\xf8\xe7\xac\xca\x4a\xbd\xbc\xfb\x1f\x1b\x3f\xcf\x33", PROFILING},
    {"\x35\x77\x0f\x1b\x09\x2e\x03\x48\xa4\x8e\x05\x6f\xc4\x23\x96\x8d", PROFILING},
    {"\xf8\x8c\xc9\x3e\x53\xfd\x9e\x46\xba\x59\x1e\x2b\x87\x3e\x0f\x91", PROFILING},
    {"\xa6\xb1\xff\x99\xec\xc4\xc9\x4f\x92\xf9\x19\x28\x66\x3d\x55\x85", PROFILING},
    {"\xbf\xdb\x43\x2d\xbf\x3c\x5a\x4a\x94\x5e\xb3\x40\x29\xe8\x1e\x75", PROFILING},
    {"\xcc\x52\x9e\x94\x5c\x4e\x9d\x46\x83\x7c\x96\x25\x86\x83\x34\xe4", PROFILING},
    {"\x69\xa2\x8e\x9f\x24\x49\x8b\x47\xb0\x30\xc5\xda\x33\x0e\xa4\xe9", PROFILING},
    {"\x9a\xf0\x70\x7b\x8e\x2d\xd8\x4c\x8e\x4e\xb9\x94\xc8\x2d\xdc\x35", "optical flow"},
};

/* The whole id: of most tables it is all that is known. */
static void log_refused(const uint8_t id[16])
{
    const char *what = "unknown";
    char text[33];

    for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (memcmp(id, refused[i].uuid, sizeof(refused[i].uuid)) == 0)
            what = refused[i].what;
    for (unsigned i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", id[i]);
    vg_log(2, "an export table was refused: %s (%s)", text, what);
}

CUresult cuGetExportTable(const void **ppExportTable, const CUuuid *pExportTableId)
{
    if (!ppExportTable || !pExportTableId)
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        if (memcmp(pExportTableId->bytes, tables[i].uuid, sizeof(tables[i].uuid)) != 0)
            continue;
        *ppExportTable = tables[i].table;
        return CUDA_SUCCESS;
    }
    log_refused((const uint8_t *)pExportTableId->bytes);
    return CUDA_ERROR_INVALID_VALUE;
}
