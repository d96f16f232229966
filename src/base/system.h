/* Facts about the machine this process runs on. Any thread. */
#ifndef AG_BASE_SYSTEM_H
#define AG_BASE_SYSTEM_H

#include <stddef.h>
#include <stdint.h>

/* Memory this process may use: the machine's, or its cgroup's limit (v2 and v1) when lower. */
uint64_t ag_system_memory(void);
/* Physical cores this process may run on (affinity and, where set, the cgroup's CPU quota), at
 * least 1. Two hyper-threads of a core count once. */
int ag_system_cores(void);

#endif
