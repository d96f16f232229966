/* Facts about the machine this process runs on. Any thread. */
#ifndef AG_BASE_SYSTEM_H
#define AG_BASE_SYSTEM_H

#include <sched.h>
#include <stddef.h>
#include <stdint.h>

/* Memory this process may use: the machine's, or the limit of its cgroup or of one above (v2 and
 * v1) when lower. */
uint64_t ag_system_memory(void);
/* That limit, and the CPUs' time that cgroups (v2) grant, in CPUs; UINT64_MAX and 0: none. `root`
 * is what /proc and /sys lie in: "". */
uint64_t ag_system_memory_limit(const char *root);
int ag_system_cpu_limit(const char *root);
/* CPUs that the calling thread may run on (affinity, and with it the cgroup's cpuset). */
void ag_system_cpus(cpu_set_t *set);
/* Physical cores among these CPUs, no more than the cgroup's CPU quota where one is set, at
 * least 1. Two hyper-threads of a core count once. */
int ag_system_cores(const cpu_set_t *set);

#endif
