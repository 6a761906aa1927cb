/* SPDX-License-Identifier: MIT */
/*
 * User objects. The host's driver counts the references, those that graphs hold among
 * them; the destructor is the application's, so it runs here, on the callback thread,
 * when the host says that the last reference is gone. Any thread.
 */
#include "guest-shim/call.h"
#include "guest-shim/callback.h"
#include "guest-shim/fwd.h"
#include "guest-shim/state.h"
#include "vg_api.h"

/* Nothing runs a user object, it only ends. */
static void not_run(void *data)
{
    (void)data;
}

CUresult cuUserObjectCreate(CUuserObject *object_out, void *ptr, CUhostFn destroy,
                            unsigned initialRefcount, unsigned flags)
{
    struct vg_reply reply;
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!object_out || !destroy)
        return CUDA_ERROR_INVALID_VALUE;
    uint64_t cookie = vg_callback_new_owning(not_run, ptr, destroy);
    if (!cookie)
        return CUDA_ERROR_OUT_OF_MEMORY;
    r = vg_call_reply(VG_CALL_cuUserObjectCreate, VG_WORDS(cookie, initialRefcount, flags), &reply);
    if (r)
        vg_callback_drop(cookie);
    else
        *object_out = (CUuserObject)(uintptr_t)reply.val[0];
    return r;
}

CUresult cuUserObjectRetain(VG_PARAMS(cuUserObjectRetain))
VG_FWD_BODY(cuUserObjectRetain)

CUresult cuUserObjectRelease(VG_PARAMS(cuUserObjectRelease))
VG_FWD_BODY(cuUserObjectRelease)

CUresult cuGraphRetainUserObject(VG_PARAMS(cuGraphRetainUserObject))
VG_FWD_BODY(cuGraphRetainUserObject)
