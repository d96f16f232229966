/* Memory nodes of the machine, and how an engine's threads and pages lie on them.
 *
 * On one node nothing is done. On several, the weights are read by every thread (chunks of work go
 * to whoever is idle), so their pages are interleaved: each node's memory gives its share of the
 * bandwidth. Threads are bound to nodes, not to CPUs, so that the system can still move them aside.
 * Read from sysfs with two system calls behind: that is all of a topology library we would use.
 *
 * Thread: any; nothing is kept here. */
#ifndef AG_BASE_NUMA_H
#define AG_BASE_NUMA_H

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define AG_NUMA_MAX_NODES 64 /* nodes of a higher number are not used */

typedef struct ag_numa_node {
    int id;         /* the system's number */
    bool memory;    /* may hold pages of ours */
    int n_cpus;     /* in cpus */
    cpu_set_t cpus; /* that are online and that we may run on */
} ag_numa_node;

typedef struct ag_numa { /* nodes of which we may use CPUs or memory, at least one, by id */
    int n_nodes;
    ag_numa_node nodes[AG_NUMA_MAX_NODES];
} ag_numa;

/* Read the nodes under `root` ("" for this machine's), as far as `allowed` (the CPUs we may run on)
 * and the process's own limits go. Where nothing can be read: one node with all of `allowed`. */
void ag_numa_read(const char *root, const cpu_set_t *allowed, ag_numa *out);

typedef struct ag_numa_plan {
    enum { AG_NUMA_NONE, AG_NUMA_INTERLEAVE, AG_NUMA_ONE } how;
    uint64_t memory; /* nodes for pages, a bit each by id */
    ag_numa threads; /* nodes for threads */
} ag_numa_plan;

/* Decide. `wish` is NULL or "auto" (interleave over the nodes that have CPUs and memory for us, if
 * there are several), "off", "interleave" (over all nodes with memory) or a node's number (threads
 * and pages there; pages go elsewhere only when it is full). AG_E_ARG lists the nodes present. */
ag_code ag_numa_plan_make(const ag_numa *machine, const char *wish, ag_numa_plan *plan,
                          ag_err *err) AG_MUST_USE;
/* "pages interleaved over nodes 0,1; threads on nodes 0,1" */
void ag_numa_describe(const ag_numa_plan *plan, char *text, size_t n);

/* The place in plan->threads of thread k of n: neighbours together, by the nodes' CPUs. */
int ag_numa_node_of(const ag_numa_plan *plan, int k, int n);
/* Bind thread k of n to its node; without a plan nothing happens. A refusal is not told: the thread
 * runs where it ran. */
void ag_numa_pin(const ag_numa_plan *plan, pthread_t thread, int k, int n);
/* Say where the pages of [p, p + bytes), page-aligned and not yet touched, shall come from. False,
 * with errno, when the system refuses; they then come from where they are touched first. */
bool ag_numa_place(const ag_numa_plan *plan, void *p, size_t bytes);

#endif
