/* Socket files: who may connect, and what opening one leaves alone. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit/test.h"

#include "process/supervisor.h"

static char folder[] = "/tmp/autoglm-listen-XXXXXX";

static void open_in(ag_listener *l, const char *name) {
    char address[96];
    ag_err err = {0};
    snprintf(address, sizeof address, "unix:%s/%s", folder, name);
    if (ag_listener_open(l, address, &err))
        fail_msg("%s", err.msg);
}

static mode_t mode_of(const char *name) {
    char path[96];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static void the_group_may_connect_whatever_the_umask(void **state) {
    (void)state;
    static const mode_t masks[] = {0, 022, 077, 0777};
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        ag_listener l;
        mode_t before = umask(masks[i]);
        open_in(&l, "a,b c");
        umask(before);
        assert_int_equal(mode_of("a,b c"), 0660);
        ag_listener_close(&l);
    }
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
    size_t n_wrong = 0;
    mode_t before = umask(0);
    assert_int_equal(pthread_create(&other, NULL, create_files, &n_wrong), 0);
    for (int i = 0; i < 5000; i++) {
        ag_listener l;
        open_in(&l, "s");
        ag_listener_close(&l);
    }
    atomic_store(&stop, true);
    pthread_join(other, NULL);
    umask(before);
    assert_int_equal(n_wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_group_may_connect_whatever_the_umask),
        cmocka_unit_test(files_of_other_threads_keep_their_mode),
    };
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
