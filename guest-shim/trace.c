/* SPDX-License-Identifier: MIT */
/* Calls by name, for VGPU_LOG=3 and VGPU_STATS. */
#include "guest-shim/call_private.h"
#include "guest-shim/state.h"
#include "vg_api.h"
#include "vg_wire.h"

void vg_call_trace(const struct vg_call *call)
{
    const struct vg_api_row *row = vg_api_by_id(call->call);

    vg_log(3, "%u %s(0x%llx, 0x%llx, 0x%llx, 0x%llx, 0x%llx) +%u%s", call->seq,
           row ? row->symbol : vg_internal_call_name(call->call), (unsigned long long)call->arg[0],
           (unsigned long long)call->arg[1], (unsigned long long)call->arg[2],
           (unsigned long long)call->arg[3], (unsigned long long)call->arg[4], call->payload_len,
           call->flags & VG_F_REPLY ? " ->" : "");
}

const char *vg_internal_call_name(unsigned id)
{
    static const char *const name[] = {
        [VG_CALL_NOP] = "NOP", [VG_CALL_SET_CONTEXT] = "SET_CONTEXT",
        [VG_CALL_SNAPSHOT] = "SNAPSHOT", [VG_CALL_COPY_IN] = "COPY_IN",
        [VG_CALL_COPY_OUT] = "COPY_OUT", [VG_CALL_COPY_INLINE] = "COPY_INLINE",
        [VG_CALL_COPY_3D] = "COPY_3D", [VG_CALL_LAUNCH] = "LAUNCH", [VG_CALL_SYNC] = "SYNC",
        [VG_CALL_IMAGE_LOAD] = "IMAGE_LOAD", [VG_CALL_FUNCTION_GET] = "FUNCTION_GET",
        [VG_CALL_HOST_FUNC] = "HOST_FUNC", [VG_CALL_ALIAS] = "ALIAS",
        [VG_CALL_UNALIAS] = "UNALIAS",
        [VG_CALL_IMAGE_PART] = "IMAGE_PART", [VG_CALL_FUNCTION_INFO] = "FUNCTION_INFO",
        [VG_CALL_FUNCTION_ATTRS] = "FUNCTION_ATTRS", [VG_CALL_FUNCTION_NAME] = "FUNCTION_NAME",
        [VG_CALL_LINK_READ] = "LINK_READ",
        [VG_CALL_MARK] = "MARK", [VG_CALL_PIN] = "PIN",
    };

    return id < sizeof(name) / sizeof(name[0]) && name[id] ? name[id] : "?";
}
