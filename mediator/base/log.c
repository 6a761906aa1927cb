/* SPDX-License-Identifier: MIT */
/* Log lines on stderr, see log.h. Process-wide: the level and the form, set once. */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "journal.h"

static enum vg_log_level shown = VG_LOG_INFO;
static bool journal;
static int journal_fd = -1;
static const char *journal_program;

/* systemd puts "device:inode" of the stream it gave us into JOURNAL_STREAM. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long dev, ino;
    struct stat st;

    return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
           (unsigned long long)st.st_dev == dev && (unsigned long long)st.st_ino == ino;
}

void vg_log_init(enum vg_log_level level)
{
    shown = level;
    journal = stderr_is_journal();
}

int vg_log_to_journal(const char *program, const char *path)
{
    int fd = vg_journal_open(path);

    if (fd < 0)
        return fd;
    if (journal_fd >= 0)
        close(journal_fd);
    journal_fd = fd;
    journal_program = program;
    return 0;
}

static size_t stamp(char *line, size_t cap, enum vg_log_level level)
{
    struct timespec ts;
    struct tm tm;
    size_t n;

    if (journal)
        return (size_t)snprintf(line, cap, "<%d>", (int)level);
    clock_gettime(CLOCK_REALTIME, &ts);
    localtime_r(&ts.tv_sec, &tm);
    n = strftime(line, cap, "%Y-%m-%dT%H:%M:%S", &tm);
    return n + (size_t)snprintf(line + n, cap - n, ".%03ld %s ", ts.tv_nsec / 1000000,
                                level <= VG_LOG_ERROR     ? "error"
                                : level <= VG_LOG_WARNING ? "warning"
                                : level <= VG_LOG_INFO    ? "info"
                                                          : "debug");
}

static void to_stderr(enum vg_log_level level, const char *event, const char *text)
{
    char line[VG_LOG_LINE_MAX];
    size_t n = stamp(line, sizeof(line), level);

    n += (size_t)snprintf(line + n, sizeof(line) - n, "%s %s", event, text);
    if (n > sizeof(line) - 1)
        n = sizeof(line) - 1;
    line[n] = '\n';
    /* Nobody to tell when stderr is closed. */
    (void)!write(STDERR_FILENO, line, n + 1);
}

void vg_log(enum vg_log_level level, const char *event, const char *fmt, ...)
{
    char text[VG_LOG_LINE_MAX];
    int saved = errno;
    va_list args;

    if (level > shown)
        return;
    va_start(args, fmt);
    if (vsnprintf(text, sizeof(text), fmt, args) < 0)
        text[0] = '\0';
    va_end(args);
    if (journal_fd < 0 || !vg_journal_send(journal_fd, journal_program, (int)level, event, text))
        to_stderr(level, event, text);
    errno = saved;
}

void vg_log_clean(char *dst, size_t cap, const char *src, size_t len)
{
    size_t i;

    for (i = 0; i + 1 < cap && i < len && src[i]; i++) {
        char c = src[i];

        dst[i] = c == '"' ? '\'' : c >= ' ' && c <= '~' ? c : '?';
    }
    dst[i] = '\0';
}
