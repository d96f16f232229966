#include "base/system.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

/* Two numbers from a small file; "max" and absent ones stay as they are. Returns how many. */
static int read_numbers(const char *path, unsigned long long *a, unsigned long long *b) {
    char text[128] = "";
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    return sscanf(text, "%llu %llu", a, b);
}

uint64_t ag_system_memory(void) {
    struct sysinfo si;
    uint64_t bytes = sysinfo(&si) == 0 ? (uint64_t)si.totalram * si.mem_unit : (uint64_t)1 << 30;
    static const char *const limits[] = {"/sys/fs/cgroup/memory.max",
                                         "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        unsigned long long limit = 0, unused;
        if (read_numbers(limits[i], &limit, &unused) >= 1 && limit > 0 && limit < bytes)
            bytes = limit;
    }
    return bytes;
}

/* Is `cpu` the first hyper-thread, among those we may use, of its core? */
static int leads_its_core(const cpu_set_t *set, int cpu) {
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    unsigned long long first = 0, second = 0;
    char text[64] = "";
    FILE *f = fopen(path, "re");
    if (!f)
        return 1;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    char sep = 0;
    if (sscanf(text, "%llu%c%llu", &first, &sep, &second) < 1)
        return 1;
    return first >= CPU_SETSIZE || (int)first == cpu || !CPU_ISSET((size_t)first, set);
}

void ag_system_cpus(cpu_set_t *set) {
    if (sched_getaffinity(0, sizeof *set, set) != 0)
        CPU_ZERO(set);
}

int ag_system_cores(const cpu_set_t *set) {
    int n = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET((size_t)cpu, set))
            n += leads_its_core(set, cpu);
    unsigned long long quota = 0, period = 0;
    if (read_numbers("/sys/fs/cgroup/cpu.max", &quota, &period) == 2 && period > 0) {
        int by_quota = (int)((quota + period - 1) / period);
        if (by_quota >= 1 && by_quota < n)
            n = by_quota;
    }
    return n < 1 ? 1 : n;
}
