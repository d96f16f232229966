/* What a process can and cannot do in the sandbox. Each attempt is a child of its own that enters
 * the sandbox and then tries; it ends with 0 when it could, else with the errno. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/test.h"

#include "process/sandbox.h"

static char ours[64], logs[64]; /* folders: one to read, one to write */
static ag_sandbox found;        /* what this system has */

static const char *in(const char *folder, const char *name) {
    static char path[2][128];
    static int i;
    i = !i;
    snprintf(path[i], sizeof path[i], "%s/%s", folder, name);
    return path[i];
}

static void write_file(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static ag_code enter(ag_sandbox *s) {
    const ag_sandbox_path paths[] = {
        {ours, AG_SANDBOX_READ, false},
        {logs, AG_SANDBOX_WRITE, false},
        {"/proc/self", AG_SANDBOX_READ, false},
        {"/nowhere/at/all", AG_SANDBOX_READ, true},
    };
    ag_err err;
    return ag_sandbox_enter(paths, sizeof paths / sizeof *paths, false, s, &err);
}

/* The exit code of a sandboxed child that tries, or minus the signal that ended it. */
static int tried(int (*try)(void)) {
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        ag_sandbox s;
        errno = 0;
        if (enter(&s))
            _exit(99);
        _exit(try());
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* 0 or errno of something that gives a descriptor, or 0 for success. */
static int result(long rc) { return rc >= 0 ? 0 : errno; }

static int files(void) {
    if (!found.landlock)
        skip();
    return 0;
}

static int calls(void) {
    if (!found.seccomp)
        skip();
    return 0;
}

/* ---- files ----------------------------------------------------------------------------------- */

static int read_ours(void) { return result(open(in(ours, "file"), O_RDONLY)); }
static int read_folder(void) { return result(open(ours, O_RDONLY | O_DIRECTORY)); }
static int read_replaced(void) {
    return result(open(in(ours, "later"), O_RDONLY)); /* made after entering, see below */
}
static int read_others(void) { return result(open("/etc/shadow", O_RDONLY)); }
static int read_any(void) { return result(open("/etc/passwd", O_RDONLY)); }
static int read_by_a_link(void) { return result(open(in(ours, "link"), O_RDONLY)); }
static int write_ours(void) { return result(open(in(ours, "file"), O_WRONLY)); }
static int make_ours(void) { return result(open(in(ours, "new"), O_WRONLY | O_CREAT, 0600)); }
static int remove_ours(void) { return result(unlink(in(ours, "file"))); }
static int append(void) {
    return result(open(in(logs, "log"), O_WRONLY | O_APPEND | O_CREAT, 0600));
}
static int read_log(void) { return result(open(in(logs, "log"), O_RDONLY)); }
static int empty_log(void) { return result(open(in(logs, "log"), O_WRONLY | O_TRUNC)); }
static int remove_log(void) { return result(unlink(in(logs, "log"))); }

static void files_are_read_and_written_where_they_may_be(void **state) {
    (void)state;
    files();
    assert_int_equal(tried(read_ours), 0);
    assert_int_equal(tried(read_folder), 0);
    assert_int_equal(tried(read_others), EACCES);
    assert_int_equal(tried(read_any), EACCES);
    assert_int_equal(tried(read_by_a_link), EACCES);
    assert_int_equal(tried(write_ours), EACCES);
    assert_int_equal(tried(make_ours), EACCES);
    assert_int_equal(tried(remove_ours), EACCES);
    assert_int_equal(tried(append), 0);
    assert_int_equal(tried(append), 0); /* there it is */
    assert_int_equal(tried(read_log), EACCES);
    if (found.landlock >= 3)
        assert_int_equal(tried(empty_log), EACCES);
    assert_int_equal(tried(remove_log), EACCES);
}

/* As configurations and keys are replaced. */
static void a_file_that_replaces_another_in_its_folder_is_read(void **state) {
    (void)state;
    int go[2], entered[2];
    char byte = 0;
    files();
    assert_int_equal(pipe(go) || pipe(entered), 0);
    pid_t pid = fork();
    if (pid == 0) {
        ag_sandbox s;
        if (enter(&s) || write(entered[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1)
            _exit(99);
        _exit(read_replaced());
    }
    assert_int_equal(read(entered[0], &byte, 1), 1);
    write_file(in(ours, "temporary"), "new");
    assert_int_equal(rename(in(ours, "temporary"), in(ours, "later")), 0);
    assert_int_equal(write(go[1], &byte, 1), 1);
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    for (int i = 0; i < 2; i++) {
        close(go[i]);
        close(entered[i]);
    }
}

/* Which metrics read. */
static int read_own_facts(void) {
    return open("/proc/self/stat", O_RDONLY) < 0 ? errno : result(open("/proc/self/fd", O_RDONLY));
}
static int read_facts_of_others(void) { return result(open("/proc/1/stat", O_RDONLY)); }

static void its_own_facts_are_read(void **state) {
    (void)state;
    files();
    assert_int_equal(tried(read_own_facts), 0);
    assert_int_equal(tried(read_facts_of_others), EACCES);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static int run_program(void) {
    char *const argv[] = {(char *)"true", NULL};
    return result(execv("/bin/true", argv));
}
static int make_process(void) { return result(fork()); }
static int make_process_with_clone(void) {
    return result(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL));
}
static int trace(void) { return result(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL)); }
static int mount_something(void) { return result(mount("none", "/mnt", "tmpfs", 0, NULL)); }
static int load_bpf(void) { return result(syscall(SYS_bpf, 0, NULL, 0)); }
static int change_user(void) { return result(setuid(1)); }
static int new_namespace(void) { return result(unshare(CLONE_NEWUSER)); }

static void what_a_server_never_does_ends_it(void **state) {
    (void)state;
    calls();
    int (*const tries[])(void) = {run_program, make_process,    make_process_with_clone,
                                  trace,       mount_something, load_bpf,
                                  change_user, new_namespace};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++)
        if (tried(tries[i]) != -SIGSYS)
            fail_msg("attempt %zu: %d", i, tried(tries[i]));
}

static int make_socket(void) { return result(socket(AF_INET, SOCK_STREAM, 0)); }
static int signal_another(void) { return result(kill(getppid(), 0)); }
static int signal_thread_of_another(void) {
    return result(syscall(SYS_tgkill, getppid(), getppid(), 0));
}
static int raise_limit(void) {
    struct rlimit none = {0};
    return result(setrlimit(RLIMIT_CORE, &none));
}
static int map_code(void) {
    void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? errno : 0;
}
static int make_code_of_data(void) {
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? 99 : result(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}
static int become_dumpable(void) { return result(prctl(PR_SET_DUMPABLE, 1)); }

static void what_it_does_not_need_fails(void **state) {
    (void)state;
    calls();
    assert_int_equal(tried(make_socket), ENOSYS);
    assert_int_equal(tried(signal_another), ENOSYS);
    assert_int_equal(tried(signal_thread_of_another), ENOSYS);
    assert_int_equal(tried(raise_limit), ENOSYS);
    assert_int_equal(tried(map_code), EPERM);
    assert_int_equal(tried(make_code_of_data), EPERM);
    assert_int_equal(tried(become_dumpable), ENOSYS);
}

static void *wait_for_signal(void *arg) {
    int taken;
    sigset_t *set = arg;
    pthread_setname_np(pthread_self(), "waits");
    return sigwait(set, &taken) == 0 && taken == SIGUSR1 ? arg : NULL;
}

/* Threads, memory, a lock under contention, signals among threads, waiting with a limit. */
static int work(void) {
    pthread_t t[4];
    sigset_t set;
    void *got;
    struct rlimit files;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    for (int i = 0; i < 4; i++)
        if (pthread_create(&t[i], NULL, wait_for_signal, &set))
            return 1;
    for (int i = 0; i < 4; i++)
        if (pthread_kill(t[i], SIGUSR1) || pthread_join(t[i], &got) || !got)
            return 2;
    char *block = malloc((size_t)64 << 20);
    if (!block)
        return 3;
    memset(block, 1, (size_t)64 << 20);
    free(block);
    return getrlimit(RLIMIT_NOFILE, &files) || poll(NULL, 0, 10) != 0 ? 4 : 0;
}

static int abort_it(void) { abort(); }

static void what_it_needs_works(void **state) {
    (void)state;
    assert_int_equal(tried(work), 0);
    assert_int_equal(tried(abort_it), -SIGABRT);
}

/* ---- what a system lacks --------------------------------------------------------------------- */

static void what_is_missing_is_said(void **state) {
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        const ag_sandbox_path paths[] = {{"/nowhere/first", AG_SANDBOX_READ, true},
                                         {"/nowhere/second", AG_SANDBOX_READ, false}};
        ag_sandbox s;
        ag_err err;
        ag_code code = ag_sandbox_enter(paths, 2, true, &s, &err);
        bool whole = s.landlock && s.seccomp;
        bool ok = whole == !s.why[0] && (code == AG_OK) == whole &&
                  (whole || strstr(err.msg, "required")) &&
                  (!s.landlock || strcmp(s.missing, "/nowhere/second") == 0);
        _exit(ok ? 0 : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static int set_up(void **state) {
    (void)state;
    snprintf(ours, sizeof ours, "/tmp/autoglm-sandbox-XXXXXX");
    if (!mkdtemp(ours))
        return -1;
    snprintf(logs, sizeof logs, "%s-logs", ours);
    if (mkdir(logs, 0700) || symlink("/etc/passwd", in(ours, "link")))
        return -1;
    write_file(in(ours, "file"), "text");
    int out[2];
    if (pipe(out))
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        ag_sandbox s;
        if (enter(&s) == AG_OK)
            (void)!write(out[1], &s, sizeof s);
        _exit(0);
    }
    close(out[1]);
    ssize_t n = read(out[0], &found, sizeof found);
    close(out[0]);
    waitpid(pid, NULL, 0);
    if (n == sizeof found)
        print_message("Landlock %d, seccomp %d. %s\n", found.landlock, found.seccomp, found.why);
    return n == sizeof found ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    static const char *const names[] = {"file", "link", "later"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        (void)unlink(in(ours, names[i]));
    (void)unlink(in(logs, "log"));
    return rmdir(ours) || rmdir(logs);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_read_and_written_where_they_may_be),
        cmocka_unit_test(a_file_that_replaces_another_in_its_folder_is_read),
        cmocka_unit_test(its_own_facts_are_read),
        cmocka_unit_test(what_a_server_never_does_ends_it),
        cmocka_unit_test(what_it_does_not_need_fails),
        cmocka_unit_test(what_it_needs_works),
        cmocka_unit_test(what_is_missing_is_said),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
