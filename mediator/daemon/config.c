/* SPDX-License-Identifier: MIT */
/* The table of settings, see config.h. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mediator/base/file.h"
#include "mediator/base/ini.h"
#include "mediator/base/log.h"
#include "mediator/base/number.h"
#include "mediator/base/util.h"
#include "mediator/limit/account.h"
#include "protocol/vg_limits.h"
#include "protocol/vg_sock.h"
#include "vm.h"

#define CONFIG_FILE_MAX 65536u

struct word {
    const char *text;
    uint64_t value;
};

struct setting {
    const char *key;
    size_t offset;
    size_t text_cap;            /* of a text, else 0 */
    const struct word *words;   /* of a choice, ends with text NULL */
    uint64_t min, max;          /* of a number */
};

static const struct word backends[] = {
    { "auto", VG_BACKEND_AUTO }, { "cuda", VG_BACKEND_CUDA }, { "soft", VG_BACKEND_SOFT }, { 0 },
};
static const struct word keeps[] = {
    { "never", VG_KEEP_NEVER }, { "crash", VG_KEEP_CRASH }, { "always", VG_KEEP_ALWAYS }, { 0 },
};
static const struct word schedulings[] = {
    { "slices", VG_SCHEDULING_SLICES }, { "turns", VG_SCHEDULING_TURNS },
    { "off", VG_SCHEDULING_OFF }, { 0 },
};
static const struct word yes_no[] = { { "yes", 1 }, { "no", 0 }, { 0 } };
static const struct word xenstore_words[] = {
    { "auto", VG_XENSTORE_AUTO }, { "yes", VG_XENSTORE_YES }, { "no", VG_XENSTORE_NO }, { 0 },
};
static const struct word jit_words[] = {
    { "auto", VG_JIT_AUTO }, { "yes", VG_JIT_YES }, { "no", VG_JIT_NO }, { 0 },
};
static const struct word levels[] = {
    { "error", VG_LOG_ERROR }, { "warning", VG_LOG_WARNING }, { "info", VG_LOG_INFO },
    { "debug", VG_LOG_DEBUG }, { 0 },
};

#define OFFSET(key) offsetof(struct vg_config, key)
#define TEXT(key) { #key, OFFSET(key), sizeof(((struct vg_config *)0)->key), NULL, 0, 0 }
#define CHOICE(key, words) { #key, OFFSET(key), 0, words, 0, 0 }
#define NUMBER(key, low, high) { #key, OFFSET(key), 0, NULL, low, high }

static const struct setting settings[] = {
    TEXT(socket), TEXT(control_socket), TEXT(group), TEXT(admin_group), TEXT(monitor_group), TEXT(metrics_listen), TEXT(log_target),
    TEXT(state_dir), TEXT(executor),
    TEXT(soft_library), TEXT(cuda_library), TEXT(nvml_library), TEXT(telemetry),
    TEXT(watcher), TEXT(domain_socket), CHOICE(xenstore, xenstore_words),
    NUMBER(domain_uid_base, 0, UINT32_MAX / 2), NUMBER(executor_uid, 0, INT32_MAX - VG_VMS_MAX),
    CHOICE(backend, backends), CHOICE(auto_register, yes_no), CHOICE(log_level, levels),
    NUMBER(max_clients, 1, 4096), NUMBER(max_executors, 1, 4096),
    NUMBER(prestart, 0, 64), CHOICE(prestart_context, yes_no), CHOICE(prestart_refill, yes_no),
    NUMBER(region_mib, VG_REGION_SIZE_MIN >> 20, VG_REGION_SIZE_MAX >> 20),
    CHOICE(scheduling, schedulings), CHOICE(keep, keeps), NUMBER(keep_s, 1, 1000000),
    NUMBER(watchdog_s, 0, 86400), NUMBER(compile_s, 0, 86400), NUMBER(stuck_s, 1, 3600),
    NUMBER(fault_limit, 0, 1000), NUMBER(fault_window_s, 1, 86400),
    NUMBER(fault_long_limit, 0, 10000), NUMBER(fault_long_window_s, 1, 30 * 86400), TEXT(kernel_log),
    CHOICE(gpu_events, yes_no),
    NUMBER(max_processes, 1, VG_SEATS), NUMBER(max_contexts, 1, 65536),
    NUMBER(max_streams, 1, 1048576), NUMBER(max_events, 1, 1048576),
    NUMBER(max_modules, 1, 1048576), NUMBER(max_graphs, 1, 1048576),
    NUMBER(max_pinned_mib, 0, 16777216),
    NUMBER(context_mib, 0, 1048576), CHOICE(measure_context, yes_no), NUMBER(image_cache_mib, 0, 65536),
    CHOICE(jit_cache, jit_words), CHOICE(pin_region, yes_no),
    NUMBER(start_timeout_s, 1, 3600), NUMBER(spin_us, 0, 1000000),
};

void vg_config_init(struct vg_config *c)
{
    memset(c, 0, sizeof(*c));
    strcpy(c->socket, VG_SOCKET_PATH);
    strcpy(c->control_socket, VG_CONTROL_PATH);
    strcpy(c->state_dir, "/var/lib/vgpu");
    strcpy(c->log_target, "stderr");
    c->executor_uid = VG_EXECUTOR_UID;
    c->auto_register = 1;
    c->max_clients = 256;
    c->max_executors = 128;
    c->region_mib = 256;
    c->prestart = 1;
    c->prestart_context = 1;
    c->prestart_refill = 1;
    c->keep = VG_KEEP_CRASH;
    c->keep_s = 600;
    c->start_timeout_s = 60;
    c->watchdog_s = 30;
    c->compile_s = 600;
    c->stuck_s = 10;
    c->fault_limit = 3;
    c->fault_window_s = 600;
    c->fault_long_limit = 12;
    c->fault_long_window_s = 86400;
    strcpy(c->kernel_log, VG_KERNEL_LOG_PATH);
    c->gpu_events = 1;
    c->measure_context = 1;
    c->pin_region = 1;
    c->spin_us = VG_SPIN_DEFAULT;
    c->log_level = VG_LOG_INFO;
    c->max_processes = 64;
    c->max_contexts = 256;
    c->max_streams = 16384;
    c->max_events = 262144;
    c->max_modules = 65536;
    c->max_graphs = 65536;
    c->context_mib = VG_CONTEXT_AUTO;
    c->image_cache_mib = 64;
    vg_policy_init(&c->policy);
    vg_policy_init_caps(&c->cap);
}

static int set_text(char *field, const struct setting *s, const char *value, char *why, size_t cap)
{
    if (strlen(value) >= s->text_cap) {
        snprintf(why, cap, "\"%.80s...\" is longer than %zu characters", value, s->text_cap - 1);
        return -EINVAL;
    }
    strcpy(field, value);
    return 0;
}

static int set_choice(uint64_t *field, const struct setting *s, const char *value, char *why,
                      size_t cap)
{
    int n;

    for (const struct word *w = s->words; w->text; w++) {
        if (strcmp(w->text, value) == 0) {
            *field = w->value;
            return 0;
        }
    }
    n = snprintf(why, cap, "\"%.80s\" is not one of", value);
    for (const struct word *w = s->words; w->text && n < (int)cap; w++)
        n += snprintf(why + n, cap - (size_t)n, "%s %s", w == s->words ? "" : ",", w->text);
    return -EINVAL;
}

static int set_value(struct vg_config *c, const struct setting *s, const char *value, char *why,
                     size_t cap)
{
    void *field = (char *)c + s->offset;

    if (s->text_cap)
        return set_text(field, s, value, why, cap);
    if (s->words)
        return set_choice(field, s, value, why, cap);
    return vg_number(value, s->min, s->max, field, why, cap) ? 0 : -EINVAL;
}

/* default_rate, cap_rate: a field of a policy behind a prefix. */
static int set_policy(struct vg_policy *p, const char *prefix, const char *key, const char *value,
                      char *why, size_t cap)
{
    char reason[192];
    int rc = vg_policy_set(p, key + strlen(prefix), value, reason, sizeof(reason));

    if (rc < 0)
        snprintf(why, cap, "%s%s", prefix, reason);
    return rc;
}

int vg_config_set(struct vg_config *c, const char *key, const char *value, char *why,
                  size_t why_cap)
{
    char reason[192];

    if (strncmp(key, "default_", 8) == 0 && vg_policy_has(key + 8))
        return set_policy(&c->policy, "default_", key, value, why, why_cap);
    if (strncmp(key, "cap_", 4) == 0 && vg_policy_has(key + 4) && strcmp(key + 4, "pool") != 0)
        return set_policy(&c->cap, "cap_", key, value, why, why_cap);
    if (strncmp(key, "pool.", 5) == 0)
        return vg_place_set(&c->places, key + 5, value, why, why_cap);
    for (unsigned i = 0; i < VG_ARRAY_LEN(settings); i++) {
        if (strcmp(settings[i].key, key) != 0)
            continue;
        int rc = set_value(c, &settings[i], value, reason, sizeof(reason));
        if (rc < 0)
            snprintf(why, why_cap, "%s: %s", key, reason);
        return rc;
    }
    snprintf(why, why_cap, "there is no setting \"%.80s\"; vgpu-mediator.conf(5) lists them", key);
    return -EINVAL;
}

static int set_entry(void *arg, const char *key, const char *value, char *why, size_t why_cap)
{
    return vg_config_set(arg, key, value, why, why_cap);
}

int vg_config_load(struct vg_config *c, const char *path, char *why, size_t why_cap)
{
    vg_auto_free char *text = NULL;
    int rc = vg_file_read(path, CONFIG_FILE_MAX, &text);

    if (rc < 0) {
        snprintf(why, why_cap, "%s: %s", path, strerror(-rc));
        return rc;
    }
    return vg_ini_parse(path, text, set_entry, c, why, why_cap);
}
