/* SPDX-License-Identifier: MIT */
/* Finding the device in sysfs, see pci.h. */
#include "guest-shim/pci.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "vg_regs.h"

#define DEVICES "/sys/bus/pci/devices"

static unsigned long sysfs_number(const char *device, const char *file)
{
    char path[400], text[32] = "";
    int n = snprintf(path, sizeof(path), "%s/%s", device, file);
    int fd = n < (int)sizeof(path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (fd < 0)
        return 0;
    ssize_t got = read(fd, text, sizeof(text) - 1);
    close(fd);
    return got > 0 ? strtoul(text, NULL, 16) : 0;
}

/* The subsystem id keeps us away from a real card with the same device id. */
static bool is_ours(const char *device)
{
    return sysfs_number(device, "vendor") == VG_PCI_VENDOR &&
           sysfs_number(device, "device") == VG_PCI_DEVICE &&
           sysfs_number(device, "class") >> 8 == VG_PCI_CLASS &&
           sysfs_number(device, "subsystem_vendor") == VG_PCI_SUBVENDOR;
}

bool vg_pci_find(char *device, size_t size)
{
    DIR *dir = opendir(DEVICES);
    bool found = false;

    if (!dir)
        return false;
    for (struct dirent *d; !found && (d = readdir(dir));) {
        if (d->d_name[0] == '.')
            continue;
        int n = snprintf(device, size, DEVICES "/%s", d->d_name);
        found = n < (int)size && is_ours(device);
    }
    closedir(dir);
    return found;
}
