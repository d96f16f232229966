#include "base/numa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_LIST 8192 /* bytes of a list of CPUs or nodes, or of a process's status */

/* From linux/mempolicy.h, which not every system's headers have. */
#define POLICY_PREFERRED  1
#define POLICY_INTERLEAVE 3

/* ---- reading --------------------------------------------------------------------------------- */

/* "0-3,8" as a set; false when it is not such a list. */
static bool parse_list(const char *s, cpu_set_t *set) {
    CPU_ZERO(set);
    while (*s && *s != '\n') {
        char *end;
        unsigned long first = strtoul(s, &end, 10), last = first;
        if (end == s)
            return false;
        if (*end == '-') {
            s = end + 1;
            last = strtoul(s, &end, 10);
            if (end == s)
                return false;
        }
        for (unsigned long i = first; i <= last && i < CPU_SETSIZE; i++)
            CPU_SET(i, set);
        s = *end == ',' ? end + 1 : end;
        if (s == end && *s && *s != '\n')
            return false;
    }
    return true;
}

/* The beginning of a small file, "" when there is none. */
static void read_text(const char *root, const char *name, char text[MAX_LIST]) {
    char path[512];
    text[0] = '\0';
    int n = snprintf(path, sizeof path, "%s%s", root, name);
    FILE *f = n > 0 && (size_t)n < sizeof path ? fopen(path, "re") : NULL;
    if (!f)
        return;
    text[fread(text, 1, MAX_LIST - 1, f)] = '\0';
    fclose(f);
}

/* False when there is no such file. */
static bool read_list(const char *root, const char *name, cpu_set_t *set) {
    char text[MAX_LIST];
    read_text(root, name, text);
    return text[0] && parse_list(text, set);
}

/* Nodes that may hold our pages; all of `online` where the process's status does not say. */
static void read_memory_nodes(const char *root, const cpu_set_t *online, cpu_set_t *nodes) {
    static const char label[] = "Mems_allowed_list:";
    char text[MAX_LIST];
    cpu_set_t allowed;
    if (!read_list(root, "/sys/devices/system/node/has_memory", nodes))
        *nodes = *online;
    read_text(root, "/proc/self/status", text);
    const char *at = strstr(text, label);
    if (!at)
        return;
    at += sizeof label - 1;
    if (parse_list(at + strspn(at, " \t"), &allowed))
        CPU_AND(nodes, nodes, &allowed);
}

void ag_numa_read(const char *root, const cpu_set_t *allowed, ag_numa *out) {
    cpu_set_t online, memory;
    *out = (ag_numa){0};
    bool known = read_list(root, "/sys/devices/system/node/online", &online);
    if (known)
        read_memory_nodes(root, &online, &memory);
    for (int id = 0; known && id < AG_NUMA_MAX_NODES; id++) {
        char name[64];
        ag_numa_node node = {.id = id};
        snprintf(name, sizeof name, "/sys/devices/system/node/node%d/cpulist", id);
        if (!CPU_ISSET((size_t)id, &online) || !read_list(root, name, &node.cpus))
            continue;
        CPU_AND(&node.cpus, &node.cpus, allowed);
        node.n_cpus = CPU_COUNT(&node.cpus);
        node.memory = CPU_ISSET((size_t)id, &memory);
        if (node.n_cpus > 0 || node.memory)
            out->nodes[out->n_nodes++] = node;
    }
    if (out->n_nodes == 0)
        out->nodes[out->n_nodes++] =
            (ag_numa_node){.memory = true, .n_cpus = CPU_COUNT(allowed), .cpus = *allowed};
}

/* ---- deciding -------------------------------------------------------------------------------- */

static ag_code one_node(const ag_numa *machine, const char *wish, ag_numa_plan *plan, ag_err *err) {
    char list[AG_NUMA_MAX_NODES * 4] = "", *end;
    long id = strtol(wish, &end, 10);
    size_t at = 0;
    bool is_number = end != wish && !*end;
    for (int i = 0; i < machine->n_nodes; i++) {
        const ag_numa_node *node = &machine->nodes[i];
        if (node->n_cpus == 0 || !node->memory)
            continue;
        if (is_number && node->id == id) {
            plan->how = machine->n_nodes > 1 ? AG_NUMA_ONE : AG_NUMA_NONE;
            plan->memory = (uint64_t)1 << node->id;
            plan->threads.nodes[plan->threads.n_nodes++] = *node;
            return AG_OK;
        }
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%d", at ? ", " : "", node->id);
    }
    if (is_number)
        return ag_fail(err, AG_E_ARG, "numa: node %ld is not present; present: %s", id, list);
    return ag_fail(err, AG_E_ARG,
                   "numa is \"%.40s\"; expected auto, off, interleave or a node; present: %s", wish,
                   list);
}

ag_code ag_numa_plan_make(const ag_numa *machine, const char *wish, ag_numa_plan *plan,
                          ag_err *err) {
    *plan = (ag_numa_plan){.how = AG_NUMA_NONE};
    bool is_auto = !wish || !*wish || strcmp(wish, "auto") == 0;
    if (wish && strcmp(wish, "off") == 0)
        return AG_OK;
    if (!is_auto && strcmp(wish, "interleave") != 0)
        return one_node(machine, wish, plan, err);
    for (int i = 0; i < machine->n_nodes; i++) {
        const ag_numa_node *node = &machine->nodes[i];
        if (node->memory && (node->n_cpus > 0 || !is_auto))
            plan->memory |= (uint64_t)1 << node->id;
        if (node->n_cpus > 0)
            plan->threads.nodes[plan->threads.n_nodes++] = *node;
    }
    if ((plan->memory & (plan->memory - 1)) != 0) /* more than one */
        plan->how = AG_NUMA_INTERLEAVE;
    return AG_OK;
}

void ag_numa_describe(const ag_numa_plan *plan, char *text, size_t n) {
    char pages[AG_NUMA_MAX_NODES * 4] = "", threads[AG_NUMA_MAX_NODES * 4] = "";
    size_t at = 0;
    for (int id = 0; id < AG_NUMA_MAX_NODES; id++)
        if (plan->memory >> id & 1)
            at += (size_t)snprintf(pages + at, sizeof pages - at, "%s%d", at ? "," : "", id);
    at = 0;
    for (int i = 0; i < plan->threads.n_nodes; i++)
        at += (size_t)snprintf(threads + at, sizeof threads - at, "%s%d", at ? "," : "",
                               plan->threads.nodes[i].id);
    if (plan->how == AG_NUMA_NONE)
        snprintf(text, n, "pages and threads are left to the system");
    else if (plan->how == AG_NUMA_ONE)
        snprintf(text, n, "pages and threads on node %s", pages);
    else
        snprintf(text, n, "pages interleaved over nodes %s; threads on nodes %s", pages, threads);
}

/* ---- doing ----------------------------------------------------------------------------------- */

int ag_numa_node_of(const ag_numa_plan *plan, int k, int n) {
    int64_t total = 0, end = 0;
    for (int i = 0; i < plan->threads.n_nodes; i++)
        total += plan->threads.nodes[i].n_cpus;
    for (int i = 0; i < plan->threads.n_nodes; i++) {
        end += plan->threads.nodes[i].n_cpus;
        if ((2 * (int64_t)k + 1) * total < 2 * end * n) /* the middle of the thread's share */
            return i;
    }
    return plan->threads.n_nodes - 1;
}

void ag_numa_pin(const ag_numa_plan *plan, pthread_t thread, int k, int n) {
    if (plan->how == AG_NUMA_NONE || plan->threads.n_nodes == 0)
        return;
    const ag_numa_node *node = &plan->threads.nodes[ag_numa_node_of(plan, k, n)];
    (void)pthread_setaffinity_np(thread, sizeof node->cpus, &node->cpus);
}

bool ag_numa_place(const ag_numa_plan *plan, void *p, size_t bytes) {
    if (plan->how == AG_NUMA_NONE)
        return true;
    int policy = plan->how == AG_NUMA_ONE ? POLICY_PREFERRED : POLICY_INTERLEAVE;
    unsigned long nodes[64 / sizeof(unsigned long) / 8];
    memcpy(nodes, &plan->memory, sizeof nodes);
    return syscall(SYS_mbind, p, bytes, policy, nodes, (unsigned long)AG_NUMA_MAX_NODES + 1, 0) ==
           0;
}
