/* SPDX-License-Identifier: MIT */
/* The table of Xid numbers and the parser of their lines, see xid.h. */
#include "xid.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    unsigned number;
    enum vg_xid_class class;
    const char *meaning;
} table[] = {
    { 8, VG_XID_APP, "GPU stopped processing" },
    { 11, VG_XID_APP, "invalid or corrupted push buffer" },
    { 13, VG_XID_APP, "graphics engine exception" },
    { 25, VG_XID_APP, "invalid or illegal push buffer" },
    { 31, VG_XID_APP, "memory page fault" },
    { 32, VG_XID_APP, "invalid or corrupted push buffer stream" },
    { 39, VG_XID_APP, "copy engine exception" },
    { 40, VG_XID_APP, "copy engine exception" },
    { 41, VG_XID_APP, "copy engine exception" },
    { 43, VG_XID_NOTE, "reset channel verification error" },
    { 44, VG_XID_NOTE, "fault during context switch" },
    { 45, VG_XID_NOTE, "preemptive channel removal" },
    { 46, VG_XID_DRAIN, "GPU stopped processing, reset required" },
    { 48, VG_XID_DRAIN, "double bit ECC error" },
    { 62, VG_XID_DRAIN, "micro-controller halt" },
    { 63, VG_XID_NOTE, "row remapping recorded" },
    { 64, VG_XID_DRAIN, "row remapping failed" },
    { 68, VG_XID_APP, "video processor exception" },
    { 69, VG_XID_APP, "graphics engine class error" },
    { 74, VG_XID_DRAIN, "NVLink error" },
    { 79, VG_XID_LOST, "GPU has fallen off the bus" },
    { 92, VG_XID_NOTE, "high rate of corrected memory errors" },
    { 94, VG_XID_MEMORY, "contained memory error" },
    { 95, VG_XID_DRAIN, "uncontained memory error" },
    { 109, VG_XID_DRAIN, "context switch timeout" },
    { 119, VG_XID_DRAIN, "GPU system processor does not answer" },
    { 120, VG_XID_DRAIN, "GPU system processor error" },
    { 140, VG_XID_DRAIN, "unrecovered memory error" },
    { 143, VG_XID_DRAIN, "GPU initialisation error" },
    { 154, VG_XID_NOTE, "recovery action changed" },
    { 155, VG_XID_DRAIN, "NVLink software-defined error" },
    { 158, VG_XID_DRAIN, "GPU fatal timeout" },
};

#define COUNT (sizeof(table) / sizeof(table[0]))

/* COUNT: none of those we know. */
static size_t row_of(unsigned number)
{
    size_t i = 0;

    while (i < COUNT && table[i].number != number)
        i++;
    return i;
}

enum vg_xid_class vg_xid_class(unsigned number)
{
    size_t i = row_of(number);

    return i < COUNT ? table[i].class : VG_XID_NOTE;
}

const char *vg_xid_meaning(unsigned number)
{
    size_t i = row_of(number);

    return i < COUNT ? table[i].meaning : "";
}

enum vg_gpu_state vg_xid_state(enum vg_gpu_state before, enum vg_xid_class class)
{
    enum vg_gpu_state now = class == VG_XID_LOST    ? VG_GPU_LOST
                            : class == VG_XID_DRAIN ? VG_GPU_DRAIN
                                                    : VG_GPU_OK;

    return now > before ? now : before;
}

const char *vg_gpu_state_name(enum vg_gpu_state state)
{
    return state == VG_GPU_LOST ? "lost" : state == VG_GPU_DRAIN ? "drain" : "ok";
}

/* ---- lines ---- */

/*
 * /dev/kmsg puts "PRIORITY,SEQUENCE,TIME,FLAGS;" before the text. What programs write there
 * keeps a facility other than the kernel's 0, so they cannot speak for the driver.
 */
static const char *skip_prefix(const char *line)
{
    const char *semicolon = strchr(line, ';');

    if (!isdigit((unsigned char)*line) || !semicolon)
        return line;
    return strtoul(line, NULL, 10) < 8 ? semicolon + 1 : "";
}

static bool is_address(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!isxdigit((unsigned char)s[i]) && s[i] != ':' && s[i] != '.')
            return false;
    }
    return len > 0 && len < VG_XID_GPU_MAX;
}

/* After "NVRM: Xid (PCI:". What follows the address, or NULL. */
static const char *take_address(const char *s, struct vg_xid *x)
{
    const char *end = strchr(s, ')');

    if (!end || !is_address(s, (size_t)(end - s)))
        return NULL;
    for (size_t i = 0; s + i < end; i++)
        x->gpu[i] = (char)tolower((unsigned char)s[i]);
    return end;
}

static pid_t pid_in(const char *s)
{
    const char *pid = strstr(s, "pid=");
    long n;

    /* The driver writes pid='<unknown>' where it knows none. */
    if (!pid)
        return 0;
    n = strtol(pid + 4, NULL, 10);
    return n > 0 && n < 1 << 30 ? (pid_t)n : 0;
}

static void copy_text(struct vg_xid *x, const char *s)
{
    size_t i;

    s += strspn(s, ", ");
    for (i = 0; i + 1 < sizeof(x->text) && s[i] && s[i] != '\n'; i++)
        x->text[i] = s[i] == '"' ? '\'' : isprint((unsigned char)s[i]) ? s[i] : '?';
}

bool vg_xid_parse(const char *line, size_t len, struct vg_xid *ret_xid)
{
    static const char start[] = "NVRM: Xid (PCI:";
    struct vg_xid x;
    char copy[512];
    const char *s;
    char *end;

    memset(&x, 0, sizeof(x));
    snprintf(copy, sizeof(copy), "%.*s", (int)(len < sizeof(copy) ? len : sizeof(copy) - 1), line);
    s = skip_prefix(copy);
    if (strncmp(s, start, sizeof(start) - 1) != 0)
        return false;
    s = take_address(s + sizeof(start) - 1, &x);
    if (!s || strncmp(s, "): ", 3) != 0 || !isdigit((unsigned char)s[3]))
        return false;
    x.number = (unsigned)strtoul(s + 3, &end, 10);
    x.pid = pid_in(end);
    copy_text(&x, end);
    *ret_xid = x;
    return true;
}
