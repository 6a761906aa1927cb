/* SPDX-License-Identifier: MIT */
/* Reads /proc/PID/stat, see peer.h. */
#include "peer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "file.h"
#include "util.h"

#define STAT_MAX 4096u

struct stat_line {
    char state;
    long threads;
    uint64_t start_time;
};

/* Fields 3, 20 and 22 of proc(5), counted from the last ')': the name may contain anything. */
static bool read_stat(pid_t pid, struct stat_line *ret_stat)
{
    vg_auto_free char *text = NULL;
    char path[64], *end;
    int n;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (vg_file_read(path, STAT_MAX, &text) < 0)
        return false;
    end = strrchr(text, ')');
    if (!end)
        return false;
    n = sscanf(end + 1, " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %ld "
                        "%*s %" SCNu64, &ret_stat->state, &ret_stat->threads,
               &ret_stat->start_time);
    return n == 3;
}

void vg_peer_init(struct vg_peer *p, pid_t pid)
{
    struct stat_line st;

    p->pid = pid > 0 && read_stat(pid, &st) ? pid : 0;
    p->start_time = p->pid ? st.start_time : 0;
}

/* A main thread that has left is a zombie too, while the others run on. */
bool vg_peer_lives(const struct vg_peer *p)
{
    struct stat_line st;

    if (p->pid == 0)
        return true;
    if (!read_stat(p->pid, &st) || st.start_time != p->start_time)
        return false;
    return !((st.state == 'Z' || st.state == 'X') && st.threads <= 1);
}
