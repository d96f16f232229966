#include "base/system.h"

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
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

/* A cgroup's folder is where its hierarchy is mounted and its path together. In a container the
 * path may be that outside, with its own folder mounted in the hierarchy's place: hence the search
 * upwards, which limits of cgroups above need anyway. */
typedef struct cgroup {
    const char *root, *mount;
    char path[PATH_MAX]; /* "" is the top */
} cgroup;

/* Of the hierarchy of a controller of v1, or of v2 (""). False: there is none. */
static bool find_cgroup(cgroup *c, const char *root, const char *controller, const char *mount) {
    char line[PATH_MAX + 256];
    bool found = false;
    *c = (cgroup){.root = root, .mount = mount};
    snprintf(line, sizeof line, "%s/proc/self/cgroup", root);
    FILE *f = fopen(line, "re");
    while (f && !found && fgets(line, sizeof line, f)) { /* "4:memory:/a/b", "0::/a/b" */
        char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        found = strcmp(names + 1, controller) == 0;
        if (found && strcmp(path, "/") != 0)
            snprintf(c->path, sizeof c->path, "%s", path);
    }
    if (f)
        fclose(f);
    return found;
}

/* One up; false: it was the top. */
static bool go_up(cgroup *c) {
    char *slash = strrchr(c->path, '/');
    if (!slash)
        return false;
    *slash = '\0';
    return true;
}

static int read_of(const cgroup *c, const char *file, unsigned long long *a,
                   unsigned long long *b) {
    char path[2 * PATH_MAX];
    int n = snprintf(path, sizeof path, "%s%s%s/%s", c->root, c->mount, c->path, file);
    return n < (int)sizeof path ? read_numbers(path, a, b) : 0;
}

uint64_t ag_system_memory_limit(const char *root) {
    static const struct {
        const char *controller, *mount, *file;
    } kinds[] = {{"", "/sys/fs/cgroup", "memory.max"},
                 {"memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes"}};
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        cgroup c;
        (void)find_cgroup(&c, root, kinds[i].controller, kinds[i].mount); /* else only the top */
        do {
            unsigned long long limit = 0, unused;
            if (read_of(&c, kinds[i].file, &limit, &unused) >= 1 && limit > 0 && limit < least)
                least = limit;
        } while (go_up(&c));
    }
    return least;
}

int ag_system_cpu_limit(const char *root) {
    uint64_t least = 0;
    cgroup c;
    (void)find_cgroup(&c, root, "", "/sys/fs/cgroup");
    do {
        unsigned long long quota = 0, period = 0;
        if (read_of(&c, "cpu.max", &quota, &period) != 2 || period == 0)
            continue;
        uint64_t n = (quota + period - 1) / period;
        if (n >= 1 && (least == 0 || n < least))
            least = n;
    } while (go_up(&c));
    return least > CPU_SETSIZE ? CPU_SETSIZE : (int)least;
}

uint64_t ag_system_memory(void) {
    struct sysinfo si;
    uint64_t bytes = sysinfo(&si) == 0 ? (uint64_t)si.totalram * si.mem_unit : (uint64_t)1 << 30;
    uint64_t limit = ag_system_memory_limit("");
    return limit < bytes ? limit : bytes;
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
    int granted = ag_system_cpu_limit("");
    if (granted > 0 && granted < n)
        n = granted;
    return n < 1 ? 1 : n;
}
