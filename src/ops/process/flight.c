/* Flight records: what a server was doing when it hung or died.
 *
 * The child's signal handler writes stacks into a memfd that the supervisor holds too, so that they
 * outlive it; the supervisor adds what the system knows of each thread and writes the file. */
#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "process/process.h"

enum {
    FRAMES = 64,
    RECORD_BYTES = 1 << 20,
    STACKS_BYTES = RECORD_BYTES / 2, /* kept of what the child writes */
    MAX_THREADS = 512,
    ANSWER_US = 1000000, /* for all threads to write their stacks, on a busy machine too */
    ONE_US = 50000,      /* for one of them */
    LOOK_US = 200,       /* between looks whether it has */
    NAME_BYTES = 64,     /* of a record's file */
};

/* ---- the child's side --------------------------------------------------------------------------
 */

static int flight_fd = -1;

/* backtrace() is safe here once it has been called before: it then loads nothing. Whoever sends
 * SIGQUIT often begins anew, so that the memory stays bounded. */
static void write_stack(int signal) {
    int was = errno; /* of what it interrupts */
    if (lseek(flight_fd, 0, SEEK_END) > STACKS_BYTES)
        (void)!ftruncate(flight_fd, 0);
    void *frames[FRAMES];
    char line[64];
    int n = snprintf(line, sizeof line, "thread %ld, signal %d\n", syscall(SYS_gettid), signal);
    (void)!write(flight_fd, line, (size_t)n);
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES), flight_fd);
    (void)!write(flight_fd, "\n", 1); /* an empty line: it is whole */
    errno = was;
}

/* A crash goes on to its default action: SA_RESETHAND has put it back. */
static void on_crash(int signal) {
    write_stack(signal);
    raise(signal);
}

void ag_flight_install(int fd) {
    void *frames[FRAMES];
    (void)backtrace(frames, FRAMES);
    flight_fd = fd;
    struct sigaction quit = {.sa_handler = write_stack, .sa_flags = SA_RESTART};
    sigaction(SIGQUIT, &quit, NULL);
    struct sigaction crash = {.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND};
    const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &crash, NULL);
}

/* ---- the supervisor's side ---------------------------------------------------------------------
 */

static void add_file(ag_buf *out, const char *label, const char *path) {
    char bytes[2048];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, bytes, sizeof bytes) : -1;
    if (fd >= 0)
        close(fd);
    if (n > 0)
        ag_buf_addf(out, "%s%.*s%s", label, (int)n, bytes, bytes[n - 1] == '\n' ? "" : "\n");
}

/* Does what was written since end in an empty line? */
static bool is_whole(int fd, off_t since) {
    char end[2];
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_size > since && st.st_size >= 2 &&
           pread(fd, end, 2, st.st_size - 2) == 2 && end[0] == '\n' && end[1] == '\n';
}

/* Ask a thread for its stack, and wait until it is there, since two would mix; not beyond `until`,
 * for who cannot take the signal. */
static void ask_stack(const ag_child *c, long tid, uint64_t until) {
    struct stat st = {0};
    uint64_t now = ag_clock_us();
    if (until > now + ONE_US)
        until = now + ONE_US;
    (void)fstat(c->flight, &st);
    (void)syscall(SYS_tgkill, c->pid, (int)tid, SIGQUIT);
    while (!is_whole(c->flight, st.st_size) && ag_clock_us() < until)
        usleep(LOOK_US);
}

/* Name, state and place in the kernel of each thread; each is asked for its stack on the way. */
static void add_threads(ag_buf *out, const ag_child *c) {
    uint64_t until = ag_clock_us() + ANSWER_US;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)c->pid);
    DIR *dir = opendir(path);
    if (!dir)
        return;
    int left = MAX_THREADS;
    for (struct dirent *e; left > 0 && (e = readdir(dir)); left--) {
        long tid = strtol(e->d_name, NULL, 10);
        if (tid <= 0)
            continue;
        const char *facts[] = {"comm", "wchan", "syscall", "stat"};
        ag_buf_addf(out, "\nthread %ld\n", tid);
        for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
            char file[96], label[16];
            snprintf(file, sizeof file, "%s/%ld/%s", path, tid, facts[i]);
            snprintf(label, sizeof label, "  %s: ", facts[i]);
            add_file(out, label, file);
        }
        ask_stack(c, tid, until);
    }
    closedir(dir);
}

static void add_stacks(ag_buf *out, int fd) {
    char bytes[4096];
    off_t at = 0;
    ag_buf_adds(out, "\n---- stacks\n");
    for (ssize_t n; (n = pread(fd, bytes, sizeof bytes, at)) > 0; at += n)
        ag_buf_add(out, bytes, (size_t)n);
}

/* Names sort by time. The newest found so far, oldest first, are kept; who does not belong there
 * any more is removed. Of a folder that others use too, only ours. */
static void prune(const ag_supervise_opts *o) {
    char newest[AG_FLIGHTS_KEPT][NAME_BYTES], path[4096];
    size_t n = 0;
    DIR *dir = opendir(o->flight_dir);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char out[NAME_BYTES], *name = e->d_name;
        if (strlen(name) >= NAME_BYTES || fnmatch("flight-????????T??????Z-*.txt", name, 0) != 0)
            continue;
        size_t at = n;
        while (at > 0 && strcmp(newest[at - 1], name) > 0)
            at--;
        if (n < AG_FLIGHTS_KEPT) {
            memmove(newest[at + 1], newest[at], (n++ - at) * NAME_BYTES);
            snprintf(newest[at], NAME_BYTES, "%s", name);
            continue;
        }
        snprintf(out, sizeof out, "%s", at > 0 ? newest[0] : name);
        if (at > 0) {
            memmove(newest[0], newest[1], (at - 1) * NAME_BYTES);
            snprintf(newest[at - 1], NAME_BYTES, "%s", name);
        }
        snprintf(path, sizeof path, "%s/%s", o->flight_dir, out);
        if (unlink(path) != 0)
            ag_log(&o->log, AG_LOG_WARN, "supervisor", "%s: cannot remove: %s", path,
                   strerror(errno));
    }
    if (dir)
        closedir(dir);
}

void ag_flight_record(const ag_supervise_opts *o, const ag_child *c, const char *why, bool alive) {
    if (!o->flight_dir)
        return;
    char stamp[32], path[4096];
    time_t wall = time(NULL);
    struct tm utc;
    gmtime_r(&wall, &utc);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc);
    snprintf(path, sizeof path, "%s/flight-%s-%d.txt", o->flight_dir, stamp, (int)c->pid);
    uint64_t now = ag_clock_us();
    ag_buf out;
    ag_err err;
    ag_buf_init(&out, AG_ROOM_PROCESS, RECORD_BYTES);
    ag_buf_addf(&out,
                "AutoGLM flight record\nwhy: %s\ntime: %s\npid: %d\nlived: %" PRIu64 " ms\n"
                "last beat: %" PRIu64 " ms ago\nready: %s\nstatus: %s\n",
                why, stamp, (int)c->pid, (now - c->born_us) / 1000, (now - c->beat_us) / 1000,
                c->ready ? "yes" : "no", c->status);
    if (alive) {
        char status[64];
        snprintf(status, sizeof status, "/proc/%d/status", (int)c->pid);
        add_file(&out, "\n", status);
        add_threads(&out, c);
    }
    add_stacks(&out, c->flight);
    if (ag_file_write(path, ag_buf_span(&out), &err) == AG_OK)
        ag_log(&o->log, AG_LOG_WARN, "supervisor", "flight record: %s", path);
    else
        ag_log(&o->log, AG_LOG_ERROR, "supervisor", "no flight record: %s", err.msg);
    ag_buf_deinit(&out);
    prune(o);
}
