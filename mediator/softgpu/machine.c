/* SPDX-License-Identifier: MIT */
/* See machine.h. */
#include "machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

unsigned long vg_machine_number(const char *name, unsigned long fallback, unsigned long max)
{
    const char *s = getenv(name);
    char *end;
    unsigned long n = s != NULL ? strtoul(s, &end, 10) : 0;

    if (s == NULL || end == s || *end != '\0' || n == 0)
        return fallback;
    return n < max ? n : max;
}

unsigned vg_machine_cores(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
        return (unsigned)CPU_COUNT(&set);
    return sysconf(_SC_NPROCESSORS_ONLN) > 0 ? (unsigned)sysconf(_SC_NPROCESSORS_ONLN) : 1;
}

unsigned long vg_machine_memory_mib(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    unsigned long half = pages > 0 ? (unsigned long)pages / 2 * ((unsigned long)page >> 10) >> 10
                                   : 1024;

    return half > 4096 ? 4096 : half < 64 ? 64 : half;
}

double vg_machine_cpu_mhz(void)
{
    FILE *f = fopen("/proc/cpuinfo", "re");
    char line[256];
    double mhz = 0;

    while (f != NULL && mhz == 0 && fgets(line, sizeof(line), f) != NULL)
        if (strncmp(line, "cpu MHz", 7) == 0 && strchr(line, ':') != NULL)
            mhz = strtod(strchr(line, ':') + 1, NULL);
    if (f != NULL)
        fclose(f);
    return mhz;
}

int vg_machine_cache(int which)
{
    long n = sysconf(which);

    return n > 0 && n < (1l << 30) ? (int)n : 1 << 20;
}

/* FNV-1a. */
uint64_t vg_machine_hash(uint64_t seed)
{
    char id[64] = "no machine-id";
    FILE *f = fopen("/etc/machine-id", "re");
    uint64_t h = 0xcbf29ce484222325ull ^ seed;
    size_t i;

    if (f != NULL) {
        if (fgets(id, sizeof(id), f) == NULL)
            strcpy(id, "no machine-id");
        fclose(f);
    }
    for (i = 0; id[i] != '\0' && id[i] != '\n'; i++)
        h = (h ^ (unsigned char)id[i]) * 0x100000001b3ull;
    return h;
}

unsigned vg_machine_devices(unsigned machine[VG_DEVICES_MAX])
{
    unsigned all = (unsigned)vg_machine_number("VGPU_SOFT_DEVICES", 1, VG_DEVICES_MAX), n = 0;
    const char *s = getenv("CUDA_VISIBLE_DEVICES");
    char *end;

    if (s == NULL) {
        for (n = 0; n < all; n++)
            machine[n] = n;
        return n;
    }
    for (; n < VG_DEVICES_MAX; s = end + 1) {
        unsigned long i = strtoul(s, &end, 10);

        if (end == s || i >= all || (*end != ',' && *end != '\0'))
            break;
        machine[n++] = (unsigned)i;
        if (*end == '\0')
            break;
    }
    return n;
}
