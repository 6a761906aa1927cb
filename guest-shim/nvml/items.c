/* SPDX-License-Identifier: MIT */
/*
 * The functions whose answer is the host's: one for each row of vg_telemetry.def,
 * with the signature that its kind stands for.
 */
#include <string.h>

#include "guest-shim/nvml/nv.h"

#define STATUS_OTHER 255

nv_result nv_item(unsigned index, enum vg_nv_item item, unsigned element, void *out)
{
    struct vg_telemetry_device *d = &nv_page.device[index];
    const struct vg_nv_row *row = &vg_nv_rows[item];

    if (element >= row->count)
        return VG_NV_INVALID_ARGUMENT;
    uint8_t status = vg_nv_status_at(d, item)[element];
    if (status == VG_NV_SUCCESS)
        memcpy(out, (uint8_t *)vg_nv_data_at(d, item) + (size_t)element * row->size, row->size);
    return status == STATUS_OTHER ? VG_NV_UNKNOWN : status;
}

nv_result nv_item_of(nv_device dev, enum vg_nv_item item, unsigned element, void *out)
{
    unsigned index;
    nv_result rc = nv_enter_device(dev, &index);

    if (rc != VG_NV_SUCCESS)
        return rc;
    rc = out ? nv_item(index, item, element, out) : VG_NV_INVALID_ARGUMENT;
    nv_leave();
    return rc;
}

nv_result nv_text(const char *text, char *out, unsigned length)
{
    if (!out)
        return VG_NV_INVALID_ARGUMENT;
    if (strlen(text) >= length)
        return VG_NV_INSUFFICIENT_SIZE;
    strcpy(out, text);
    return VG_NV_SUCCESS;
}

/* ---- one function for each kind ---- */

static nv_result numbers(nv_device dev, enum vg_nv_item item, uint32_t *const *out, unsigned count)
{
    uint32_t n[4];
    nv_result rc = nv_item_of(dev, item, 0, n);

    for (unsigned i = 0; rc == VG_NV_SUCCESS && i < count; i++) {
        if (!out[i])
            return VG_NV_INVALID_ARGUMENT;
    }
    for (unsigned i = 0; rc == VG_NV_SUCCESS && i < count; i++)
        *out[i] = n[i];
    return rc;
}

static nv_result text(nv_device dev, enum vg_nv_item item, unsigned element, char *out,
                      unsigned length)
{
    char buffer[128] = "";     /* longer than any text: ends in NUL whatever the page says */
    nv_result rc = nv_item_of(dev, item, element, buffer);

    return rc == VG_NV_SUCCESS ? nv_text(buffer, out, length) : rc;
}

static nv_result versioned(nv_device dev, enum vg_nv_item item, uint32_t *out)
{
    nv_result rc = nv_check_device(dev);

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (!out)
        return VG_NV_INVALID_ARGUMENT;
    if (*out != vg_nv_rows[item].version)
        return VG_NV_VERSION_MISMATCH;
    return nv_item_of(dev, item, 0, out);
}

static nv_result wides(nv_device dev, enum vg_nv_item item, uint64_t *a, uint64_t *b)
{
    uint64_t n[2];
    nv_result rc = nv_item_of(dev, item, 0, n);

    if (rc != VG_NV_SUCCESS)
        return rc;
    if (!a || !b)
        return VG_NV_INVALID_ARGUMENT;
    *a = n[0];
    *b = n[1];
    return VG_NV_SUCCESS;
}

#define DEFINE_N1(item, symbol) \
    NV_EXPORT nv_result symbol(nv_device d, uint32_t *a);               \
    nv_result symbol(nv_device d, uint32_t *a) { return nv_item_of(d, item, 0, a); }
#define DEFINE_N2(item, symbol)                                         \
    NV_EXPORT nv_result symbol(nv_device d, uint32_t *a, uint32_t *b);  \
    nv_result symbol(nv_device d, uint32_t *a, uint32_t *b)             \
    {                                                                   \
        uint32_t *const out[] = {a, b};                                 \
        return numbers(d, item, out, 2);                                \
    }
#define DEFINE_N4(item, symbol)                                         \
    NV_EXPORT nv_result symbol(nv_device d, uint32_t *a, uint32_t *b, uint32_t *e, uint32_t *f); \
    nv_result symbol(nv_device d, uint32_t *a, uint32_t *b, uint32_t *e, uint32_t *f) \
    {                                                                   \
        uint32_t *const out[] = {a, b, e, f};                           \
        return numbers(d, item, out, 4);                                \
    }
#define DEFINE_W1(item, symbol)                                         \
    NV_EXPORT nv_result symbol(nv_device d, unsigned long long *a);     \
    nv_result symbol(nv_device d, unsigned long long *a) { return nv_item_of(d, item, 0, a); }
#define DEFINE_W2(item, symbol)                                         \
    NV_EXPORT nv_result symbol(nv_device d, uint64_t *a, uint64_t *b);  \
    nv_result symbol(nv_device d, uint64_t *a, uint64_t *b) { return wides(d, item, a, b); }
#define DEFINE_A1(item, symbol)                                         \
    NV_EXPORT nv_result symbol(nv_device d, uint32_t which, uint32_t *a); \
    nv_result symbol(nv_device d, uint32_t which, uint32_t *a)          \
    {                                                                   \
        return nv_item_of(d, item, which, a);                           \
    }
#define DEFINE_E2(item, symbol)                                         \
    NV_EXPORT nv_result symbol(nv_device d, uint32_t x, uint32_t y, unsigned long long *a); \
    nv_result symbol(nv_device d, uint32_t x, uint32_t y, unsigned long long *a) \
    {                                                                   \
        return nv_item_of(d, item, x > 1 || y > 1 ? UINT32_MAX : x << 1 | y, a); \
    }
#define DEFINE_E3(item, symbol)                                         \
    NV_EXPORT nv_result symbol(nv_device d, uint32_t x, uint32_t y, uint32_t z, \
                               unsigned long long *a);                  \
    nv_result symbol(nv_device d, uint32_t x, uint32_t y, uint32_t z, unsigned long long *a) \
    {                                                                   \
        bool known = x <= 1 && y <= 1 && z <= 7;                        \
        return nv_item_of(d, item, known ? x << 4 | y << 3 | z : UINT32_MAX, a); \
    }
#define DEFINE_ST(item, symbol)                                         \
    NV_EXPORT nv_result symbol(nv_device d, void *a);                   \
    nv_result symbol(nv_device d, void *a) { return nv_item_of(d, item, 0, a); }
#define DEFINE_BV(item, symbol)                                         \
    NV_EXPORT nv_result symbol(nv_device d, void *a);                   \
    nv_result symbol(nv_device d, void *a) { return versioned(d, item, a); }
#define DEFINE_TX(item, symbol)                                         \
    NV_EXPORT nv_result symbol(nv_device d, char *a, unsigned length);  \
    nv_result symbol(nv_device d, char *a, unsigned length) { return text(d, item, 0, a, length); }
#define DEFINE_AT(item, symbol)                                         \
    NV_EXPORT nv_result symbol(nv_device d, uint32_t which, char *a, unsigned length); \
    nv_result symbol(nv_device d, uint32_t which, char *a, unsigned length) \
    {                                                                   \
        return text(d, item, which, a, length);                         \
    }
#define DEFINE_TS(item, symbol)                                         \
    NV_EXPORT nv_result symbol(nv_device d, char *a);                   \
    nv_result symbol(nv_device d, char *a) { return text(d, item, 0, a, vg_nv_rows[item].size); }

#define VG_NV(item, symbol, kind, count, size, version) DEFINE_##kind(VG_NV_##item, symbol)
#include "vg_telemetry.def"
#undef VG_NV
