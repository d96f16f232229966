/* Memory nodes: trees of sysfs as machines have them, and what is made of them. */
#include "base/numa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/system.h"
#include "unit/test.h"

typedef struct tree {
    char root[64];
} tree;

static void put(const tree *t, const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s%s", t->root, name);
    for (char *p = path + strlen(t->root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(path, 0700);
        *p = '/';
    }
    assert_int_equal(ag_file_write(path, ag_str(text), NULL), AG_OK);
}

static tree new_tree(void) {
    tree t;
    snprintf(t.root, sizeof t.root, "/tmp/autoglm-numa-XXXXXX");
    assert_non_null(mkdtemp(t.root));
    return t;
}

static void remove_tree(const tree *t) {
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", t->root);
    assert_int_equal(system(command), 0);
}

/* Two sockets of 8 CPUs, 4 to 7 and 12 to 15 their second threads. */
static tree two_sockets(void) {
    tree t = new_tree();
    put(&t, "/sys/devices/system/node/online", "0-1\n");
    put(&t, "/sys/devices/system/node/has_memory", "0-1\n");
    put(&t, "/sys/devices/system/node/node0/cpulist", "0-3,8-11\n");
    put(&t, "/sys/devices/system/node/node1/cpulist", "4-7,12-15\n");
    put(&t, "/proc/self/status", "Name:\tx\nMems_allowed:\t3\nMems_allowed_list:\t0-1\n");
    return t;
}

static cpu_set_t cpus(int first, int last) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = first; i <= last; i++)
        CPU_SET((size_t)i, &set);
    return set;
}

static ag_numa read_tree(const tree *t, cpu_set_t allowed) {
    ag_numa m;
    ag_numa_read(t->root, &allowed, &m);
    return m;
}

static void must_plan(const ag_numa *m, const char *wish, const char *says) {
    ag_numa_plan plan;
    ag_err err = {0};
    char text[600];
    if (ag_numa_plan_make(m, wish, &plan, &err))
        fail_msg("%s: %s", wish ? wish : "NULL", err.msg);
    ag_numa_describe(&plan, text, sizeof text);
    assert_string_equal(text, says);
}

static void must_refuse(const ag_numa *m, const char *wish, const char *says) {
    ag_numa_plan plan;
    ag_err err = {0};
    assert_int_equal(ag_numa_plan_make(m, wish, &plan, &err), AG_E_ARG);
    if (!strstr(err.msg, says))
        fail_msg("%s: \"%s\", expected \"%s\"", wish, err.msg, says);
}

#define LEFT "pages and threads are left to the system"
#define BOTH "pages interleaved over nodes 0,1; threads on nodes 0,1"

static void two_sockets_are_interleaved(void **state) {
    (void)state;
    tree t = two_sockets();
    ag_numa m = read_tree(&t, cpus(0, 15));
    assert_int_equal(m.n_nodes, 2);
    assert_int_equal(m.nodes[0].n_cpus, 8);
    assert_int_equal(m.nodes[1].id, 1);
    assert_true(CPU_ISSET(12, &m.nodes[1].cpus) && !CPU_ISSET(8, &m.nodes[1].cpus));
    must_plan(&m, NULL, BOTH);
    must_plan(&m, "auto", BOTH);
    must_plan(&m, "interleave", BOTH);
    must_plan(&m, "off", LEFT);
    must_plan(&m, "1", "pages and threads on node 1");
    must_refuse(&m, "2", "node 2 is not present; present: 0, 1");
    must_refuse(&m, "-1", "node -1 is not present");
    must_refuse(&m, "1x", "numa is \"1x\"; expected auto, off, interleave or a node");
    remove_tree(&t);
}

static void one_node_is_left_alone(void **state) {
    (void)state;
    tree t = new_tree();
    put(&t, "/sys/devices/system/node/online", "0\n");
    put(&t, "/sys/devices/system/node/node0/cpulist", "0-1\n");
    ag_numa m = read_tree(&t, cpus(0, 1));
    must_plan(&m, "auto", LEFT);
    must_plan(&m, "interleave", LEFT);
    must_plan(&m, "0", LEFT);
    must_refuse(&m, "1", "present: 0");
    remove_tree(&t);
}

static void offline_cpus_and_an_affinity_mask_count(void **state) {
    (void)state;
    tree t = two_sockets();
    put(&t, "/sys/devices/system/node/node1/cpulist", "4-5\n"); /* 6, 7, 12-15 are offline */
    ag_numa m = read_tree(&t, cpus(2, 5));
    assert_int_equal(m.nodes[0].n_cpus, 2);
    assert_int_equal(m.nodes[1].n_cpus, 2);
    must_plan(&m, "auto", BOTH);
    m = read_tree(&t, cpus(0, 3)); /* one socket's CPUs: its own memory is the nearest */
    must_plan(&m, "auto", LEFT);
    must_plan(&m, "interleave", "pages interleaved over nodes 0,1; threads on nodes 0");
    must_refuse(&m, "1", "node 1 is not present; present: 0");
    remove_tree(&t);
}

static void a_cpuset_limits_memory_too(void **state) {
    (void)state;
    tree t = two_sockets();
    put(&t, "/proc/self/status", "Mems_allowed_list:\t1\n");
    ag_numa m = read_tree(&t, cpus(0, 15));
    must_plan(&m, "auto", LEFT);
    must_refuse(&m, "0", "present: 1");
    must_plan(&m, "1", "pages and threads on node 1");
    remove_tree(&t);
}

static void memory_without_cpus_is_for_interleave_only(void **state) {
    (void)state;
    tree t = two_sockets();
    put(&t, "/sys/devices/system/node/online", "0-2\n");
    put(&t, "/sys/devices/system/node/has_memory", "0-2\n");
    put(&t, "/sys/devices/system/node/node2/cpulist", "\n");
    put(&t, "/proc/self/status", "Mems_allowed_list:\t0-2\n");
    ag_numa m = read_tree(&t, cpus(0, 15));
    assert_int_equal(m.n_nodes, 3);
    must_plan(&m, "auto", BOTH);
    must_plan(&m, "interleave", "pages interleaved over nodes 0,1,2; threads on nodes 0,1");
    remove_tree(&t);
}

static void odd_trees_are_one_node(void **state) {
    (void)state;
    static const char *const lists[] = {"",     "x", "0-", "0,,1", "-", "99999999999999999999-1",
                                        "0-1 2"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        tree t = new_tree();
        put(&t, "/sys/devices/system/node/online", lists[i]);
        ag_numa m = read_tree(&t, cpus(0, 3));
        assert_int_equal(m.n_nodes, 1);
        assert_int_equal(m.nodes[0].n_cpus, 4);
        must_plan(&m, "auto", LEFT);
        remove_tree(&t);
    }
}

static void threads_are_spread_by_cpus(void **state) {
    (void)state;
    tree t = two_sockets();
    put(&t, "/sys/devices/system/node/node1/cpulist", "4-7\n"); /* 8 CPUs and 4 */
    ag_numa m = read_tree(&t, cpus(0, 15));
    ag_numa_plan plan;
    assert_int_equal(ag_numa_plan_make(&m, "auto", &plan, NULL), AG_OK);
    for (int n = 1; n <= 48; n++) {
        int on[2] = {0, 0}, last = 0;
        for (int k = 0; k < n; k++) {
            int at = ag_numa_node_of(&plan, k, n);
            assert_true(at >= last && at < 2);
            last = at;
            on[at]++;
        }
        assert_in_range(on[0], n * 2 / 3, (n * 2 + 2) / 3);
    }
    remove_tree(&t);
}

static void this_machine_can_be_placed_on(void **state) {
    (void)state;
    cpu_set_t all;
    ag_numa m;
    ag_numa_plan plan;
    ag_system_cpus(&all);
    ag_numa_read("", &all, &m);
    assert_true(m.n_nodes >= 1);
    assert_int_equal(ag_numa_plan_make(&m, NULL, &plan, NULL), AG_OK);
    void *p = ag_alloc_pages(AG_ROOM_TEST, 1 << 20);
    if (plan.how == AG_NUMA_NONE) { /* one node: what several would get must be harmless */
        plan.how = AG_NUMA_INTERLEAVE;
        plan.memory = 1;
        plan.threads = m;
    }
    (void)ag_numa_place(&plan, p, 1 << 20); /* a container may refuse */
    ag_numa_pin(&plan, pthread_self(), 0, 1);
    memset(p, 1, 1 << 20);
    ag_free_pages(AG_ROOM_TEST, p, 1 << 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_sockets_are_interleaved),
        cmocka_unit_test(one_node_is_left_alone),
        cmocka_unit_test(offline_cpus_and_an_affinity_mask_count),
        cmocka_unit_test(a_cpuset_limits_memory_too),
        cmocka_unit_test(memory_without_cpus_is_for_interleave_only),
        cmocka_unit_test(odd_trees_are_one_node),
        cmocka_unit_test(threads_are_spread_by_cpus),
        cmocka_unit_test(this_machine_can_be_placed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
