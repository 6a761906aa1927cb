/* SPDX-License-Identifier: MIT */
/* Changing users, see user.h. Main thread; the C library carries it into the others. */
#include "mediator/executor/user.h"

#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEVICES    "/dev"
#define DEVICE     "nvidia"
#define GROUPS_MAX 8u

static void add_group(gid_t *groups, size_t *count, gid_t group)
{
    for (size_t i = 0; i < *count; i++)
        if (groups[i] == group)
            return;
    if (*count < GROUPS_MAX)
        groups[(*count)++] = group;
}

/* Root's own group would open much more than the GPU. */
static bool needs_group(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && (st->st_mode & 0006) != 0006 && (st->st_mode & 0060) == 0060 &&
           st->st_gid != 0;
}

/* Those that the GPU's files are open to, where they are not open to all (NVreg_DeviceFileMode). */
static size_t device_groups(gid_t *groups)
{
    DIR *dir = opendir(DEVICES);
    struct dirent *e;
    struct stat st;
    size_t count = 0;

    while (dir && (e = readdir(dir)) != NULL)
        if (strncmp(e->d_name, DEVICE, strlen(DEVICE)) == 0 &&
            fstatat(dirfd(dir), e->d_name, &st, 0) == 0 && needs_group(&st))
            add_group(groups, &count, st.st_gid);
    if (dir)
        closedir(dir);
    return count;
}

/* Of all that root may, only what the second step needs. The kernel's interface; no library has it. */
static int keep_changing_users(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct set[_LINUX_CAPABILITY_U32S_3] = {
        {.effective = 1u << CAP_SETUID | 1u << CAP_SETGID,
         .permitted = 1u << CAP_SETUID | 1u << CAP_SETGID}};

    return syscall(SYS_capset, &head, set) < 0 ? -errno : 0;
}

int vg_user_begin(uint32_t user)
{
    gid_t groups[GROUPS_MAX];
    size_t count = device_groups(groups);

    /* Saved as root: vg_user_become needs it once more. The effective one takes the rights away. */
    if (setgroups(count, groups) < 0 || setresgid(user, user, user) < 0)
        return -errno;
    int rc = keep_changing_users();
    if (rc < 0)
        return rc;
    return setresuid(0, user, 0) < 0 ? -errno : 0;
}

/* True if the line of a thread's status has this user four times, or no capability. */
static bool line_is_ours(const char *line, uint32_t user)
{
    uint32_t id[4];
    uint64_t set;

    if (sscanf(line, "Uid: %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32, &id[0], &id[1], &id[2],
               &id[3]) == 4)
        return id[0] == user && id[1] == user && id[2] == user && id[3] == user;
    if (sscanf(line, "CapPrm: %" SCNx64, &set) == 1 || sscanf(line, "CapEff: %" SCNx64, &set) == 1)
        return set == 0;
    return true;
}

static bool thread_is_ours(int tasks, const char *name, uint32_t user)
{
    char path[300], line[256];
    bool ours = true;

    snprintf(path, sizeof(path), "/proc/self/task/%.255s/status", name);
    FILE *f = fopen(path, "re");
    if (!f) /* it has ended meanwhile */
        return faccessat(tasks, name, F_OK, 0) < 0;
    while (ours && fgets(line, sizeof(line), f))
        ours = line_is_ours(line, user);
    fclose(f);
    return ours;
}

/* A thread that a library has made behind the C library's back would have kept root's rights. */
static int check_threads(uint32_t user)
{
    DIR *dir = opendir("/proc/self/task");
    struct dirent *e;
    unsigned seen = 0;
    int rc = 0;

    if (!dir)
        return -errno;
    while (rc == 0 && (e = readdir(dir)) != NULL) {
        if (e->d_name[0] == '.')
            continue;
        seen++;
        rc = thread_is_ours(dirfd(dir), e->d_name, user) ? 0 : -EPERM;
    }
    closedir(dir);
    return rc == 0 && seen == 0 ? -ESRCH : rc;
}

int vg_user_become(uint32_t user)
{
    if (seteuid(0) < 0 || setresgid(user, user, user) < 0 || setresuid(user, user, user) < 0)
        return -errno;
    return check_threads(user);
}
