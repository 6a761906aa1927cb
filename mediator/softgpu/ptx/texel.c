/* SPDX-License-Identifier: MIT */
/* Formats of texels; see texture.h. */
#include "texture.h"

unsigned ptx_texel_bytes(enum ptx_texel t)
{
    switch (t) {
    case PTX_TEXEL_U8: case PTX_TEXEL_S8: return 1;
    case PTX_TEXEL_U16: case PTX_TEXEL_S16: case PTX_TEXEL_F16: return 2;
    default: return 4;
    }
}
