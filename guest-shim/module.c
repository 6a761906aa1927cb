/* SPDX-License-Identifier: MIT */
/* Modules and the cuModule* entry points; see module.h. */
#include "guest-shim/fwd.h"
#include "guest-shim/module.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest-shim/call.h"
#include "guest-shim/library.h"
#include "guest-shim/mem.h"
#include "guest-shim/upload.h"
#include "vg_api.h"

struct vg_lock vg_modules_lock;
static struct vg_module *modules;               /* all, under vg_modules_lock */
static struct vg_handle_map module_of;          /* by CUmodule */

static struct vg_module *module_find(CUmodule m)
{
    return vg_handle_map_find(&module_of, (uintptr_t)m);
}

/* ---- life of a note ------------------------------------------------------------ */

/* Under vg_modules_lock. */
static struct vg_module *module_new(uint64_t handle, struct vg_ctx *ctx, struct vg_library *library)
{
    struct vg_module *m = calloc(1, sizeof(*m));

    if (!m)
        return NULL;
    *m = (struct vg_module){.handle = handle, .ctx = ctx, .library = library, .next = modules};
    if (handle && !vg_handle_map_put(&module_of, handle, m)) {
        free(m);
        return NULL;
    }
    modules = m;
    return m;
}

/* Under vg_modules_lock; the note is out of the list already. */
static void module_free(struct vg_module *m)
{
    if (m->handle && module_find((CUmodule)(uintptr_t)m->handle) == m)
        vg_handle_map_take(&module_of, m->handle);
    vg_func_forget_all(&m->funcs);
    while (m->globals) {
        struct vg_global *g = m->globals;
        m->globals = g->next;
        vg_mem_forget_global(g->addr);
        free(g);
    }
    free(m);
}

/* Forgets the modules for which one of the three is right. */
static void forget(const struct vg_module *which, const struct vg_ctx *ctx,
                   const struct vg_library *library)
{
    vg_lock(&vg_modules_lock);
    for (struct vg_module **p = &modules; *p;) {
        struct vg_module *m = *p;
        if (m != which && (!ctx || m->ctx != ctx) && (!library || m->library != library)) {
            p = &m->next;
            continue;
        }
        *p = m->next;
        module_free(m);
    }
    vg_unlock(&vg_modules_lock);
}

static void forget_context(struct vg_ctx *ctx)
{
    forget(NULL, ctx, NULL);
}

__attribute__((constructor)) static void module_start(void)
{
    vg_ctx_on_end(forget_context);
}

void vg_modules_drop(struct vg_library *library)
{
    forget(NULL, NULL, library);
}

struct vg_module *vg_module_of_library(struct vg_library *library)
{
    struct vg_ctx *ctx = vg_ctx_current();

    vg_lock(&vg_modules_lock);
    struct vg_module *m = modules;
    while (m && (m->ctx != ctx || m->library != library))
        m = m->next;
    if (!m)
        m = module_new(0, ctx, library);
    vg_unlock(&vg_modules_lock);
    return m;
}

CUresult vg_module_handle(struct vg_module *m, uint64_t *ret_handle)
{
    struct vg_reply reply;
    uint64_t host;

    if (!vg_load_acquire(&m->handle)) {
        CUresult r = vg_library_host(m->library, &host);
        if (!r)
            r = vg_call_reply(VG_CALL_cuLibraryGetModule, VG_WORDS(1, host), &reply);
        if (r)
            return r;
        vg_lock(&vg_modules_lock);
        bool ok = vg_handle_map_put(&module_of, reply.val[0], m);
        if (ok)
            vg_store_release(&m->handle, reply.val[0]);
        vg_unlock(&vg_modules_lock);
        if (!ok)
            return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *ret_handle = m->handle;
    return CUDA_SUCCESS;
}

/* ---- loading --------------------------------------------------------------------- */

static struct vg_image_target module_target(void)
{
    const struct vg_snapshot *s = vg_process.snapshot;
    const int32_t *attr = s->device[vg_func_device()].attr;
    int cc = attr[CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR] * 10 +
             attr[CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR];

    return (struct vg_image_target){.cc = (unsigned)cc, .software = s->software};
}

static void explain(const void *image, size_t size, const struct vg_image_target *t, CUresult r,
                    char why[VG_WHY_MAX])
{
    char list[160];

    if (r != CUDA_ERROR_NO_BINARY_FOR_GPU)
        return;
    vg_image_list(image, size, list, sizeof(list));
    snprintf(why, VG_WHY_MAX, "no %s for compute capability %u.%u in it (it has: %s)%s",
             t->software ? "PTX" : "code", t->cc / 10, t->cc % 10, *list ? list : "nothing",
             t->software ? "; the software GPU runs PTX only" : "");
}

CUresult vg_module_choose(const void *image, size_t size, struct vg_image *ret_image,
                          char why[VG_WHY_MAX])
{
    const struct vg_image_target target = module_target();
    CUresult r = size == SIZE_MAX ? vg_image_select(image, &target, ret_image)
                                  : vg_image_select_sized(image, size, &target, ret_image);

    why[0] = '\0';
    if (r)
        explain(image, size, &target, r, why);
    return r;
}

CUresult vg_module_choose_plain(const void *image, struct vg_image *ret_image)
{
    struct vg_image_target target = module_target();

    target.plain = true;
    return vg_image_select(image, &target, ret_image);
}

void vg_module_blame(const char *why)
{
    if (*why)
        vg_log(1, "the GPU cannot load this module: %s", why);
}

static CUresult load(CUmodule *module, const struct vg_image *image, const struct vg_jit *jit)
{
    uint64_t handle;
    CUresult r = vg_upload(image, VG_IMAGE_MODULE, jit, &handle);

    if (r)
        return r;
    vg_lock(&vg_modules_lock);
    struct vg_module *m = module_new(handle, vg_ctx_current(), NULL);
    vg_unlock(&vg_modules_lock);
    if (!m) {
        vg_call_reply(VG_CALL_cuModuleUnload, VG_WORDS(handle), NULL);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *module = (CUmodule)(uintptr_t)handle;
    return CUDA_SUCCESS;
}

static CUresult choose_and_load(CUmodule *module, const void *image, size_t size,
                                const struct vg_jit *jit)
{
    struct vg_image chosen;
    char why[VG_WHY_MAX];
    CUresult r = vg_module_choose(image, size, &chosen, why);

    if (!r)
        return load(module, &chosen, jit);
    vg_module_blame(why);
    return r;
}

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned numOptions,
                            CUjit_option *options, void **optionValues)
{
    struct vg_jit jit;
    CUresult r = vg_enter_ctx();

    if (r)
        return r;
    if (!module || !image)
        return CUDA_ERROR_INVALID_VALUE;
    r = vg_jit_init(&jit, numOptions, options, optionValues);
    if (r)
        return r;
    return choose_and_load(module, image, SIZE_MAX, &jit);
}

CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
    return cuModuleLoadDataEx(module, image, 0, NULL, NULL);
}

CUresult cuModuleLoadFatBinary(CUmodule *module, const void *fatCubin)
{
    return cuModuleLoadDataEx(module, fatCubin, 0, NULL, NULL);
}

static CUresult read_all(FILE *f, char **ret_bytes, size_t *ret_size)
{
    size_t size = 0, room = 64 << 10;
    char *bytes = malloc(room);

    while (bytes) {
        size += fread(bytes + size, 1, room - size - 1, f);
        if (size < room - 1)
            break;
        char *more = room < VG_IMAGE_MAX ? realloc(bytes, room *= 2) : NULL;
        if (!more)
            free(bytes);
        bytes = more;
    }
    /* A driver asks how large a directory is, and has no memory for the answer. */
    if (!bytes || ferror(f)) {
        free(bytes);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    bytes[size] = '\0';
    *ret_bytes = bytes;
    *ret_size = size + 1;
    return CUDA_SUCCESS;
}

CUresult vg_module_read_file(const char *name, char **ret_bytes, size_t *ret_size)
{
    FILE *f = fopen(name, "rbe");

    if (!f)
        return CUDA_ERROR_FILE_NOT_FOUND;
    CUresult r = read_all(f, ret_bytes, ret_size);
    fclose(f);
    return r;
}

CUresult cuModuleLoad(CUmodule *module, const char *fname)
{
    struct vg_jit jit = {0};
    char *bytes;
    size_t size;
    CUresult r = vg_enter_ctx();

    if (r)
        return r;
    if (!module || !fname)
        return CUDA_ERROR_INVALID_VALUE;
    r = vg_module_read_file(fname, &bytes, &size);
    if (r)
        return r;
    r = choose_and_load(module, bytes, size, &jit);
    free(bytes);
    return r;
}

/* The host frees the handles for reuse: forget them before that, not after. */
CUresult cuModuleUnload(CUmodule hmod)
{
    CUresult r = vg_enter();

    if (r)
        return r;
    struct vg_module *m = module_find(hmod);
    if (!m)
        return CUDA_ERROR_INVALID_HANDLE;
    if (m->library)
        return CUDA_ERROR_NOT_PERMITTED;
    forget(m, NULL, NULL);
    r = vg_call_reply(VG_CALL_cuModuleUnload, VG_WORDS((uintptr_t)hmod), NULL);
    vg_console_drain();
    return r;
}

/* Modules are loaded at the load call, kernels of libraries at their first use. */
CUresult cuModuleGetLoadingMode(CUmoduleLoadingMode *mode)
{
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!mode)
        return CUDA_ERROR_INVALID_VALUE;
    *mode = CU_MODULE_LAZY_LOADING;
    return CUDA_SUCCESS;
}

/* ---- what is in it ----------------------------------------------------------------- */

static CUresult enter_module(CUmodule hmod, struct vg_module **ret_module)
{
    CUresult r = vg_enter();

    if (!r)
        r = vg_sticky();
    if (r)
        return r;
    *ret_module = module_find(hmod);
    return *ret_module ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuModuleGetFunction(CUfunction *hfunc, CUmodule hmod, const char *name)
{
    struct vg_module *m;
    struct vg_func *f;
    CUresult r = enter_module(hmod, &m);

    if (r)
        return r;
    if (!hfunc || !name || !*name)
        return CUDA_ERROR_INVALID_VALUE;
    const struct vg_func_owner owner = {.module = m, .host = m->handle, .list = &m->funcs};
    r = vg_func_get(&owner, name, &f);
    if (!r)
        *hfunc = (CUfunction)(uintptr_t)f->handle;
    return r;
}

CUresult cuModuleGetFunctionCount(unsigned *count, CUmodule mod)
{
    struct vg_module *m;
    struct vg_reply reply;
    CUresult r = enter_module(mod, &m);

    if (r)
        return r;
    if (!count)
        return CUDA_ERROR_INVALID_VALUE;
    r = vg_call_reply(VG_CALL_cuModuleGetFunctionCount, VG_WORDS(1, m->handle), &reply);
    if (!r)
        *count = (unsigned)reply.val[0];
    return r;
}

CUresult cuModuleEnumerateFunctions(CUfunction *functions, unsigned numFunctions, CUmodule mod)
{
    struct vg_module *m;
    CUresult r = enter_module(mod, &m);

    if (r)
        return r;
    if (numFunctions == 0)
        return CUDA_SUCCESS;
    if (!functions || numFunctions > VG_FUNCTIONS_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    memset(functions, 0, numFunctions * sizeof(*functions));
    const struct vg_func_owner owner = {.module = m, .host = m->handle, .list = &m->funcs};
    return vg_func_enumerate(&owner, VG_CALL_cuModuleEnumerateFunctions, numFunctions,
                             (uint64_t *)functions);
}

/* ---- variables ---------------------------------------------------------------------- */

static struct vg_global *find_global(struct vg_module *m, const char *name)
{
    vg_lock(&vg_modules_lock);
    struct vg_global *g = m->globals;
    while (g && strcmp(g->name, name) != 0)
        g = g->next;
    vg_unlock(&vg_modules_lock);
    return g;
}

CUresult vg_module_ask_global(uint32_t id, uint64_t host, const char *name,
                              struct vg_reply *ret_reply)
{
    struct vg_tx tx;
    struct vg_enc e;
    size_t bytes = strlen(name) + 1;

    if (bytes > VG_NAME_MAX)
        return CUDA_ERROR_NOT_FOUND;
    CUresult r = vg_begin_quiet(&tx, id, bytes + 8);
    if (r)
        return r;
    vg_tx_encoder(&tx, &e);
    vg_enc_word(&e, 1);
    vg_enc_word(&e, 1);
    vg_enc_word(&e, host);
    vg_enc_string(&e, name);
    if (!vg_tx_encoded(&tx, &e)) {
        vg_drop(&tx);
        return CUDA_ERROR_INVALID_VALUE;
    }
    return vg_finish(&tx, ret_reply);
}

/* By another context's module, or as a managed variable. */
#define KNOWN_BEFORE (1u << VG_MEM_GLOBAL | 1u << VG_MEM_MANAGED)

/* Copies must know the variable for GPU memory, or they would take its address for the host's. */
static CUresult keep_global(struct vg_module *m, const char *name, CUdeviceptr addr, size_t size)
{
    struct vg_mem mem = {.base = addr, .size = size, .kind = VG_MEM_GLOBAL,
                         .ctx = m->ctx->handle, .dev = m->ctx->dev};
    struct vg_mem there;
    size_t bytes = strlen(name) + 1;
    struct vg_global *g = malloc(sizeof(*g) + bytes);

    if (!g)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *g = (struct vg_global){.addr = addr, .size = size};
    memcpy(g->name, name, bytes);
    if (size && !vg_mem_add(mem) &&
        !(vg_mem_find(addr, &there) && vg_mem_is(&there, KNOWN_BEFORE))) {
        free(g);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    vg_lock(&vg_modules_lock);
    g->next = m->globals;
    m->globals = g;
    vg_unlock(&vg_modules_lock);
    return CUDA_SUCCESS;
}

CUresult vg_module_global(struct vg_module *m, uint32_t id, uint64_t host, const char *name,
                          CUdeviceptr *ret_addr, size_t *ret_size)
{
    struct vg_global *g = find_global(m, name);
    struct vg_reply reply;

    if (!g) {
        CUresult r = vg_module_ask_global(id, host, name, &reply);
        if (!r)
            r = keep_global(m, name, reply.val[0], reply.val[1]);
        if (r)
            return r;
    }
    if (ret_addr)
        *ret_addr = g ? g->addr : reply.val[0];
    if (ret_size)
        *ret_size = g ? g->size : reply.val[1];
    return CUDA_SUCCESS;
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr *dptr, size_t *bytes, CUmodule hmod, const char *name)
{
    struct vg_module *m;
    CUresult r = enter_module(hmod, &m);

    if (r)
        return r;
    if (!name || (!dptr && !bytes))
        return CUDA_ERROR_INVALID_VALUE;
    return vg_module_global(m, VG_CALL_cuModuleGetGlobal_v2, m->handle, name, dptr, bytes);
}

static CUresult ask_texref(VG_PARAMS(cuModuleGetTexRef))
VG_FWD_BODY(cuModuleGetTexRef)

static CUresult ask_surfref(VG_PARAMS(cuModuleGetSurfRef))
VG_FWD_BODY(cuModuleGetSurfRef)

CUresult cuModuleGetTexRef(CUtexref *pTexRef, CUmodule hmod, const char *name)
{
    struct vg_module *m;
    CUresult r = enter_module(hmod, &m);

    if (!r && (!pTexRef || !name))
        r = CUDA_ERROR_INVALID_VALUE;
    return r ? r : ask_texref(pTexRef, (CUmodule)(uintptr_t)m->handle, name);
}

CUresult cuModuleGetSurfRef(CUsurfref *pSurfRef, CUmodule hmod, const char *name)
{
    struct vg_module *m;
    CUresult r = enter_module(hmod, &m);

    if (!r && (!pSurfRef || !name))
        r = CUDA_ERROR_INVALID_VALUE;
    return r ? r : ask_surfref(pSurfRef, (CUmodule)(uintptr_t)m->handle, name);
}
