/* SPDX-License-Identifier: MIT */
/* Names of special registers; see sreg.h. Pure. */
#include "sreg.h"

#include <string.h>

static const struct {
    const char *name;
    unsigned size;
} sregs[SREG_COUNT] = {
#define X(id, name, size) [SREG_##id] = {name, size},
    PTX_SREGS(X)
#undef X
};

int ptx_sreg_find(const char *name, size_t len)
{
    size_t base = sizeof("%envreg") - 1;
    int i;

    if (len > base && len <= base + 2 && memcmp(name, "%envreg", base) == 0) {
        unsigned n = 0;

        for (; base < len; base++) {
            if (name[base] < '0' || name[base] > '9')
                return -1;
            n = n * 10 + (unsigned)(name[base] - '0');
        }
        return n < 32 ? (int)(SREG_ENVREG | n << 8) : -1;
    }
    for (i = 0; i < SREG_COUNT; i++)
        if (strlen(sregs[i].name) == len && memcmp(sregs[i].name, name, len) == 0)
            return i;
    return -1;
}

unsigned ptx_sreg_size(int sreg)
{
    return sregs[sreg & 0xff].size;
}
