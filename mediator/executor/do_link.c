/* SPDX-License-Identifier: MIT */
/*
 * Bodies: the linker. The driver writes its messages into buffers that are named when a
 * link state is made, so each state has a note here as long as it lives. The linked
 * image is the driver's; the guest reads it piece by piece. Serve thread, and the one beside it.
 */
#include <stdlib.h>
#include <string.h>

#include "mediator/executor/args.h"
#include "mediator/executor/aside.h"
#include "mediator/executor/image.h"
#include "mediator/executor/load.h"

#define FATBIN_HEADER 16u
#define ENTRY_HEADER  64u /* the least */

/* Options of one input. */
struct options {
    struct options *next;
    struct vg_jit_numbers set;
};

/*
 * CUDA wants the values of options to stay as long as the state does: drivers write there, and
 * into the logs, up to its end. So do those of inputs here; of them it says nothing.
 */
struct vg_link {
    struct vg_link *next;
    CUlinkState state;
    const uint8_t *image; /* NULL: not complete */
    size_t size;
    struct vg_aside_thread *thread; /* that makes all calls about it */
    struct options *inputs;
    struct vg_jit jit;
};

/* ---- Notes ---- */

/* The note of a state that the guest owns, or NULL. */
static struct vg_link *find_link(struct vg_exec *x, uint64_t state)
{
    struct vg_link *l = x->links;

    if (!vg_obj_find(&x->obj, VG_OBJ_CUlinkState, state))
        return NULL;
    while (l && (uintptr_t)l->state != state)
        l = l->next;
    return l;
}

static void link_free(struct vg_link *l)
{
    for (struct options *o; (o = l->inputs) != NULL; free(o))
        l->inputs = o->next;
    vg_aside_thread_end(l->thread);
    free(l);
}

/* Frees notes of states that have ended, on their own or with their context. */
static void sweep(struct vg_exec *x)
{
    for (struct vg_link **p = &x->links, *l; (l = *p) != NULL;) {
        if (vg_obj_find(&x->obj, VG_OBJ_CUlinkState, (uintptr_t)l->state)) {
            p = &l->next;
            continue;
        }
        *p = l->next;
        link_free(l);
    }
}

void vg_links_fini(struct vg_exec *x)
{
    for (struct vg_link *l; (l = x->links) != NULL; link_free(l))
        x->links = l->next;
}

/* ---- The guest's links ---- */

/*
 * The driver compiles what is added and links at the end, beside the serve thread (aside.h). That
 * uses nothing but its state, which cannot end meanwhile, so its note stays. Each state has a
 * thread that makes all calls about it: NVIDIA's linker keeps things by thread, and its heap breaks
 * when one thread makes and destroys a state that another completes (580 on an H200, also without
 * us).
 */
struct linking {
    struct vg_aside aside;
    struct vg_link *link;
    CUcontext home;         /* of a new one */
    CUjitInputType type;
    uint8_t *image;         /* what is added */
    const uint8_t *made;    /* or what came out, the driver's */
    uint64_t len;
    char *name;
    struct options *options; /* of this input; NULL: none */
    CUresult rc;
};

static void linking_free(struct linking *l)
{
    free(l->image);
    free(l->name);
    free(l->options);
    free(l);
}

static struct linking *linking_on(struct vg_exec *x, struct vg_link *link)
{
    struct linking *l = calloc(1, sizeof(*l));

    if (!l)
        return NULL;
    l->aside.uses = VG_ASIDE_CONTEXT;
    l->aside.object = link ? (uintptr_t)link->state : 0;
    l->aside.by = link ? link->thread : NULL;
    l->link = link;
    l->home = x->home;
    return l;
}

static CUresult linking_run(struct vg_exec *x, struct vg_req *r, struct linking *l,
                            void (*work)(struct vg_exec *x, struct vg_aside *a),
                            CUresult (*finish)(struct vg_exec *x, struct vg_req *r,
                                               struct vg_aside *a))
{
    if (!l)
        return CUDA_ERROR_OUT_OF_MEMORY;
    l->aside.work = work;
    l->aside.finish = finish;
    return vg_aside_run(x, r, &l->aside);
}

static void create_work(struct vg_exec *x, struct vg_aside *a)
{
    struct linking *l = (struct linking *)a;
    struct vg_jit *j = &l->link->jit;

    l->rc = x->cuda.cuLinkCreate_v2(j->count, j->option, j->value, &l->link->state);
}

static void destroy_work(struct vg_exec *x, struct vg_aside *a)
{
    struct linking *l = (struct linking *)a;

    l->rc = x->cuda.cuLinkDestroy(l->link->state);
}

static CUresult own(struct vg_exec *x, struct linking *l)
{
    struct vg_link *link = l->link;
    CUresult rc = vg_own_add(x, VG_OBJ_CUlinkState, (uintptr_t)link->state, (uintptr_t)l->home, 0);

    if (rc != CUDA_SUCCESS) {
        l->aside.work = destroy_work;
        vg_aside_do(x, &l->aside);
        return rc;
    }
    link->next = x->links;
    x->links = link;
    return CUDA_SUCCESS;
}

static CUresult create_finish(struct vg_exec *x, struct vg_req *r, struct vg_aside *a)
{
    struct linking *l = (struct linking *)a;
    CUresult rc = l->rc ? l->rc : own(x, l);

    if (rc == CUDA_SUCCESS)
        vg_enc_word(&r->enc, (uintptr_t)l->link->state);
    else
        link_free(l->link);
    linking_free(l);
    return rc;
}

/* Word: number of options, which are the payload. */
CUresult vg_do_cuLinkCreate_v2(struct vg_exec *x, struct vg_req *r)
{
    struct vg_link *link = calloc(1, sizeof(*link));
    struct linking *l;

    if (!link)
        return CUDA_ERROR_OUT_OF_MEMORY;
    vg_jit_add_logs(&link->jit, 2 * VG_JIT_LOG_MAX);
    if (!vg_jit_add_numbers(&link->jit, r->payload, r->call.arg[0], r->call.payload_len)) {
        r->breach = "malformed link options";
        free(link);
        return CUDA_ERROR_INVALID_VALUE;
    }
    sweep(x);
    link->thread = vg_aside_thread_new(x);
    l = linking_on(x, link);
    if (!l) {
        link_free(link);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    return linking_run(x, r, l, create_work, create_finish);
}

/* What names a type of file must be that, and keep its parts inside. */
static bool input_ok(CUjitInputType type, const uint8_t *p, uint64_t len)
{
    static const char archive[] = "!<arch>\n";

    switch (type) {
    case CU_JIT_INPUT_PTX:
    case CU_JIT_INPUT_NVVM:
        return true; /* read up to their length, and zeros follow */
    case CU_JIT_INPUT_CUBIN:
    case CU_JIT_INPUT_FATBINARY:
    case CU_JIT_INPUT_OBJECT:
        return vg_image_ok(p, len);
    case CU_JIT_INPUT_LIBRARY:
        return len >= sizeof(archive) - 1 && memcmp(p, archive, sizeof(archive) - 1) == 0;
    default:
        return false;
    }
}

/* The name of an input, for messages: behind the options, with its NUL. NULL if malformed. */
static const char *input_name(const struct vg_req *r)
{
    uint64_t len = r->call.arg[5] >> 32, options = r->call.arg[3];
    uint64_t at = vg_image_options_at(r) + options * sizeof(struct vg_jit_option);

    if (len == 0)
        return "";
    if (options > VG_JIT_OPTIONS_MAX || at > r->call.payload_len ||
        len > r->call.payload_len - at || r->payload[at + len - 1] != '\0')
        return NULL;
    return (const char *)r->payload + at;
}

static void add_work(struct vg_exec *x, struct vg_aside *a)
{
    struct linking *l = (struct linking *)a;
    struct vg_jit_numbers *n = l->options ? &l->options->set : NULL;

    l->rc = x->cuda.cuLinkAddData_v2(l->link->state, l->type, l->image, l->len, l->name,
                                     n ? n->count : 0, n ? n->option : NULL, n ? n->value : NULL);
}

static CUresult add_finish(struct vg_exec *x, struct vg_req *r, struct vg_aside *a)
{
    struct linking *l = (struct linking *)a;
    CUresult rc = l->rc;

    (void)x;
    vg_jit_send_logs(r, &l->link->jit);
    if (l->options) {
        l->options->next = l->link->inputs;
        l->link->inputs = l->options;
        l->options = NULL;
    }
    linking_free(l);
    return rc;
}

/* The options of an input behind its image. */
static CUresult take_options(struct vg_req *r, struct linking *l)
{
    uint64_t at = vg_image_options_at(r), count = r->call.arg[3];

    if (count == 0)
        return CUDA_SUCCESS;
    l->options = malloc(sizeof(*l->options));
    if (!l->options)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (at > r->call.payload_len || !vg_jit_take_numbers(&l->options->set, r->payload + at, count,
                                                         r->call.payload_len - at))
        r->breach = "malformed link input";
    if (r->breach || l->options->set.count == 0) {
        free(l->options);
        l->options = NULL;
    }
    return CUDA_SUCCESS;
}

/* Everything that the call says, in memory of its own. */
static struct linking *linking_new(struct vg_exec *x, struct vg_req *r)
{
    const char *name = input_name(r);
    struct linking *l = linking_on(x, find_link(x, r->call.arg[4]));

    if (!l)
        return NULL;
    l->rc = take_options(r, l);
    if (!name || r->breach) {
        r->breach = "malformed link input";
        return l;
    }
    l->type = (CUjitInputType)(uint32_t)r->call.arg[5];
    l->name = strdup(name);
    l->image = vg_image_take(x, r, &l->len);
    l->aside.bytes = l->image ? l->len : 0;
    return l;
}

CUresult vg_link_input(struct vg_exec *x, struct vg_req *r)
{
    struct linking *l = linking_new(x, r);
    CUresult rc = CUDA_ERROR_INVALID_VALUE;

    if (!l)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (!r->breach)
        rc = !l->link            ? CUDA_ERROR_INVALID_HANDLE
             : l->rc || !l->name ? CUDA_ERROR_OUT_OF_MEMORY
             : !l->image || !input_ok(l->type, l->image, l->len) ? CUDA_ERROR_INVALID_IMAGE
                                                                 : CUDA_SUCCESS;
    if (rc == CUDA_SUCCESS)
        return linking_run(x, r, l, add_work, add_finish);
    if (!r->breach && l->link)
        vg_jit_send_logs(r, &l->link->jit);
    linking_free(l);
    return rc;
}

static void complete_work(struct vg_exec *x, struct vg_aside *a)
{
    struct linking *l = (struct linking *)a;
    void *image = NULL;
    size_t size = 0;

    l->rc = x->cuda.cuLinkComplete(l->link->state, &image, &size);
    l->made = image;
    l->len = size;
}

static CUresult complete_finish(struct vg_exec *x, struct vg_req *r, struct vg_aside *a)
{
    struct linking *l = (struct linking *)a;
    CUresult rc = l->rc;

    (void)x;
    vg_jit_send_logs(r, &l->link->jit);
    /* If it fails when the state was complete before, nobody says what has become of that image. */
    l->link->image = rc ? NULL : l->made;
    l->link->size = l->len;
    if (rc == CUDA_SUCCESS)
        vg_enc_word(&r->enc, l->len);
    linking_free(l);
    return rc;
}

/* Word: state. Answers with the size of the image. */
CUresult vg_do_cuLinkComplete(struct vg_exec *x, struct vg_req *r)
{
    struct vg_link *link = find_link(x, r->call.arg[0]);

    return link ? linking_run(x, r, linking_on(x, link), complete_work, complete_finish)
                : CUDA_ERROR_INVALID_HANDLE;
}

CUresult vg_do_LINK_READ(struct vg_exec *x, struct vg_req *r)
{
    const struct vg_link *l = find_link(x, r->call.arg[0]);
    uint64_t at = r->call.arg[1];

    if (!l)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!l->image || at > l->size)
        return CUDA_ERROR_INVALID_VALUE;
    size_t n = l->size - at < r->enc.cap ? l->size - at : r->enc.cap;
    memcpy(r->enc.payload, l->image + at, n);
    r->enc.len = n;
    VG_STAT_ADD(x, bytes_out, n);
    return CUDA_SUCCESS;
}

static CUresult destroy_finish(struct vg_exec *x, struct vg_req *r, struct vg_aside *a)
{
    struct linking *l = (struct linking *)a;
    CUresult rc = l->rc;

    r->answered = true;
    if (rc == CUDA_SUCCESS) {
        vg_own_remove(x, VG_OBJ_CUlinkState, (uintptr_t)l->link->state);
        sweep(x);
    }
    linking_free(l);
    return rc;
}

CUresult vg_do_cuLinkDestroy(struct vg_exec *x, struct vg_req *r, struct vg_args_cuLinkDestroy *a)
{
    struct vg_link *l = find_link(x, (uintptr_t)a->state);

    return l ? linking_run(x, r, linking_on(x, l), destroy_work, destroy_finish)
             : CUDA_ERROR_INVALID_HANDLE;
}

/* ---- Units of a program that was compiled in parts ---- */

static uint64_t get(const uint8_t *p, size_t bytes)
{
    uint64_t v = 0;

    memcpy(&v, p, bytes);
    return v;
}

/* One entry as a fat binary of its own. */
static CUresult add_unit(struct vg_exec *x, CUlinkState state, const uint8_t *header,
                         const uint8_t *entry, size_t size)
{
    uint8_t *unit = calloc(1, FATBIN_HEADER + size + 64);
    uint64_t payload = size;

    if (!unit)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(unit, header, 6);
    unit[6] = FATBIN_HEADER;
    memcpy(unit + 8, &payload, sizeof(payload));
    memcpy(unit + FATBIN_HEADER, entry, size);
    CUresult rc = x->cuda.cuLinkAddData_v2(state, CU_JIT_INPUT_FATBINARY, unit,
                                           FATBIN_HEADER + size, "", 0, NULL, NULL);
    free(unit);
    return rc;
}

static CUresult add_units(struct vg_exec *x, CUlinkState state, const uint8_t *fatbin)
{
    size_t header = get(fatbin + 6, 2), left = get(fatbin + 8, 8);
    const uint8_t *p = fatbin + header;
    CUresult rc = CUDA_SUCCESS;

    while (rc == CUDA_SUCCESS && left >= ENTRY_HEADER) {
        uint64_t head = get(p + 4, 4), body = get(p + 8, 8);
        if (head < ENTRY_HEADER || head > left || body > left - head)
            return CUDA_ERROR_INVALID_IMAGE;
        rc = add_unit(x, state, fatbin, p, head + body);
        p += head + body;
        left -= head + body;
    }
    return rc;
}

/* The linker wants a context, which loading a library does not. */
static CUresult borrow_context(struct vg_exec *x, bool *ret_borrowed)
{
    CUcontext ctx;
    CUresult rc = CUDA_SUCCESS;

    *ret_borrowed = !x->ctx;
    if (x->ctx)
        return CUDA_SUCCESS;
    rc = x->cuda.cuDevicePrimaryCtxRetain(&ctx, 0);
    if (rc != CUDA_SUCCESS)
        return rc;
    rc = x->cuda.cuCtxSetCurrent(ctx);
    if (rc != CUDA_SUCCESS)
        x->cuda.cuDevicePrimaryCtxRelease_v2(0);
    return rc;
}

static void return_context(struct vg_exec *x, bool borrowed)
{
    if (!borrowed)
        return;
    x->cuda.cuCtxSetCurrent(NULL);
    x->cuda.cuDevicePrimaryCtxRelease_v2(0);
}

static CUresult link_and_use(struct vg_exec *x, CUlinkState state, const uint8_t *fatbin,
                             vg_linked_use *use, unsigned kind, uint64_t *ret_handle)
{
    size_t size;
    void *image;
    CUresult rc = add_units(x, state, fatbin);

    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuLinkComplete(state, &image, &size);
    return rc ? rc : use(x, kind, image, NULL, ret_handle);
}

CUresult vg_link_units(struct vg_exec *x, const uint8_t *fatbin, struct vg_jit *j,
                       vg_linked_use *use, unsigned kind, uint64_t *ret_handle)
{
    static const uint8_t magic[4] = {0x50, 0xed, 0x55, 0xba};
    CUlinkState state;
    bool borrowed;

    if (memcmp(fatbin, magic, sizeof(magic)) != 0)
        return CUDA_ERROR_INVALID_IMAGE;
    CUresult rc = borrow_context(x, &borrowed);
    if (rc != CUDA_SUCCESS)
        return rc;
    rc = x->cuda.cuLinkCreate_v2(j->count, j->option, j->value, &state);
    if (rc == CUDA_SUCCESS) {
        rc = link_and_use(x, state, fatbin, use, kind, ret_handle);
        x->cuda.cuLinkDestroy(state);
    }
    return_context(x, borrowed);
    return rc;
}
