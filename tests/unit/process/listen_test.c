/* Socket files: who may connect, and what opening one leaves alone. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit/test.h"

#include "process/supervisor.h"

static char folder[] = "/tmp/autoglm-listen-XXXXXX";

static ag_code open_in(ag_listener *l, const char *name, ag_err *err) {
    char address[96];
    snprintf(address, sizeof address, "unix:%s/%s", folder, name);
    return ag_listener_open(l, address, err);
}

/* -1: there is no such file. */
static int mode_of(const char *name) {
    char path[96];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return lstat(path, &st) == 0 ? (int)(st.st_mode & 07777) : -1;
}

static void the_group_may_connect_whatever_the_umask(void **state) {
    (void)state;
    static const mode_t masks[] = {0, 022, 077, 0777};
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        ag_listener l;
        ag_err err = {0};
        mode_t before = umask(masks[i]);
        ag_code code = open_in(&l, "a,b c", &err);
        umask(before);
        if (code)
            fail_msg("%s", err.msg);
        assert_int_equal(mode_of("a,b c"), 0660);
        ag_listener_close(&l);
    }
}

static void a_socket_that_cannot_be_opened_to_the_group_leaves_no_file(void **state) {
    (void)state;
    ag_listener l;
    ag_err err = {0};
    struct rlimit all, few;
    int next = dup(0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    few = all;
    few.rlim_cur = (rlim_t)next + 1; /* the socket, and no other one to set its mode by */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    ag_code code = open_in(&l, "s", &err);
    setrlimit(RLIMIT_NOFILE, &all);
    assert_int_equal(code, AG_E_IO);
    assert_non_null(strstr(err.msg, "/s: cannot set its mode: "));
    assert_int_equal(l.fd, -1);
    assert_int_equal(mode_of("s"), -1);
}

/* Creates files until `stop`; returns how many had a mode other than the umask's. */
static _Atomic bool stop;
static void *create_files(void *count) {
    char path[96];
    snprintf(path, sizeof path, "%s/file", folder);
    while (!atomic_load(&stop)) {
        close(open(path, O_CREAT | O_WRONLY, 0666));
        *(size_t *)count += mode_of("file") != 0666;
        unlink(path);
    }
    return NULL;
}

static void files_of_other_threads_keep_their_mode(void **state) {
    (void)state;
    pthread_t other;
    size_t n_wrong = 0, n_failed = 0;
    mode_t before = umask(0);
    assert_int_equal(pthread_create(&other, NULL, create_files, &n_wrong), 0);
    for (int i = 0; i < 5000; i++) {
        ag_listener l;
        n_failed += open_in(&l, "s", NULL) != AG_OK;
        ag_listener_close(&l);
    }
    atomic_store(&stop, true);
    pthread_join(other, NULL);
    umask(before);
    assert_int_equal(n_failed, 0);
    assert_int_equal(n_wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_group_may_connect_whatever_the_umask),
        cmocka_unit_test(a_socket_that_cannot_be_opened_to_the_group_leaves_no_file),
        cmocka_unit_test(files_of_other_threads_keep_their_mode),
    };
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
