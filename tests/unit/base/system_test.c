/* Limits of cgroups, in trees as machines and containers have them. */
#include "base/system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "unit/test.h"

static char root[64];

static void put(const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof path, "%s%s", root, name);
    assert_int_equal(ag_file_make_parents(path, NULL), AG_OK);
    assert_int_equal(ag_file_write(path, ag_str(text), NULL), AG_OK);
}

static int set_up(void **state) {
    (void)state;
    snprintf(root, sizeof root, "/tmp/autoglm-system-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state) {
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", root);
    return system(command);
}

/* A unit with MemoryMax and CPUQuota, in a slice with less memory. */
static void limits_of_a_service_and_of_what_is_above_it_count(void **state) {
    (void)state;
    put("/proc/self/cgroup", "0::/system.slice/autoglm.service\n");
    put("/sys/fs/cgroup/system.slice/autoglm.service/memory.max", "8000000\n");
    put("/sys/fs/cgroup/system.slice/autoglm.service/cpu.max", "250000 100000\n");
    put("/sys/fs/cgroup/system.slice/cpu.max", "max 100000\n");
    assert_int_equal(ag_system_memory_limit(root), 8000000);
    assert_int_equal(ag_system_cpu_limit(root), 3);
    put("/sys/fs/cgroup/system.slice/memory.max", "5000000\n");
    put("/sys/fs/cgroup/system.slice/cpu.max", "100000 100000\n");
    assert_int_equal(ag_system_memory_limit(root), 5000000);
    assert_int_equal(ag_system_cpu_limit(root), 1);
    put("/sys/fs/cgroup/system.slice/memory.max", "max\n");
    assert_int_equal(ag_system_memory_limit(root), 8000000);
}

static void in_a_container_the_limits_lie_at_the_top(void **state) {
    (void)state;
    put("/proc/self/cgroup", "0::/\n");
    put("/sys/fs/cgroup/memory.max", "1000000\n");
    put("/sys/fs/cgroup/cpu.max", "50000 100000\n");
    assert_int_equal(ag_system_memory_limit(root), 1000000);
    assert_int_equal(ag_system_cpu_limit(root), 1);
}

/* Version 1, where the path is that outside of the container, or the folder is really there. */
static void old_cgroups_count_too(void **state) {
    (void)state;
    put("/proc/self/cgroup", "5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n0::/docker/1\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "3000000\n");
    assert_int_equal(ag_system_memory_limit(root), 3000000);
    put("/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "2000000\n");
    assert_int_equal(ag_system_memory_limit(root), 2000000);
}

static void without_cgroups_there_is_no_limit(void **state) {
    (void)state;
    assert_true(ag_system_memory_limit(root) == UINT64_MAX);
    assert_int_equal(ag_system_cpu_limit(root), 0);
    put("/proc/self/cgroup", "nonsense\n7\n0::/gone\n");
    assert_true(ag_system_memory_limit(root) == UINT64_MAX);
    assert_int_equal(ag_system_cpu_limit(root), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(limits_of_a_service_and_of_what_is_above_it_count, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(in_a_container_the_limits_lie_at_the_top, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(old_cgroups_count_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_cgroups_there_is_no_limit, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
