#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "process/process.h"

enum { EXEC_FAILED = 127 };

/* Between fork and exec: only calls that are safe there. Descriptors are first moved out of the way
 * of the numbers that they get. */
_Noreturn static void become(const ag_supervise_opts *o, int talk, int flight, pid_t parent) {
    int fds[AG_MAX_LISTENERS + 2];
    size_t n = o->n_listeners;
    for (size_t i = 0; i < n; i++)
        fds[i] = o->listeners[i].fd;
    fds[n] = talk;
    fds[n + 1] = flight;
    for (size_t i = 0; i < n + 2; i++)
        fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, AG_PROCESS_FIRST_FD + AG_MAX_LISTENERS + 2);
    for (size_t i = 0; i < n + 2; i++)
        if (fds[i] < 0 || dup2(fds[i], AG_PROCESS_FIRST_FD + (int)i) < 0)
            _exit(EXEC_FAILED);
    /* A SIGHUP that comes before the program takes signals must wait for it, not end it. */
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGHUP);
    sigprocmask(SIG_SETMASK, &held, NULL);
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) /* it died in between */
        _exit(EXEC_FAILED);
    execvp(o->argv[0], o->argv);
    (void)!write(2, "cannot run the server program\n", 30);
    _exit(EXEC_FAILED);
}

void ag_restarts_write(const ag_restarts *r, char *text, size_t room) {
    size_t at = 0;
    for (int i = 0; i < AG_RESTART_COUNT && at < room; i++)
        at += (size_t)snprintf(text + at, room - at, "%s%s=%" PRIu64, i ? " " : "",
                               ag_restart_name((ag_restart)i), r->n[i]);
    if (at < room)
        snprintf(text + at, room - at, "\n%s", r->why);
}

void ag_child_tell(const ag_child *c, char what, const ag_restarts *r) {
    char message[AG_BEAT_BYTES] = {what};
    ag_restarts_write(r, message + 1, sizeof message - 1);
    (void)!send(c->talk, message, strlen(message), MSG_DONTWAIT | MSG_NOSIGNAL);
}

ag_code ag_child_start(ag_child *c, const ag_supervise_opts *o, ag_child_role role,
                       const ag_restarts *before, ag_err *err) {
    int pair[2] = {-1, -1};
    int flight = memfd_create("autoglm-flight", MFD_CLOEXEC);
    if (flight < 0 || fcntl(flight, F_SETFL, O_APPEND) != 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        if (flight >= 0)
            close(flight);
        return ag_fail(err, AG_E_IO, "starting the server: %s", strerror(errno));
    }
    uint64_t now = ag_clock_us();
    *c =
        (ag_child){.role = role, .talk = pair[0], .flight = flight, .born_us = now, .beat_us = now};
    ag_child_tell(c, role == AG_CHILD_COMING ? AG_BEAT_HANDOVER : AG_BEAT_FIRST, before);
    pid_t parent = getpid();
    c->pid = fork();
    if (c->pid == 0)
        become(o, pair[1], flight, parent);
    int error = errno;
    close(pair[1]);
    if (c->pid > 0)
        return AG_OK;
    ag_child_forget(c);
    return ag_fail(err, AG_E_IO, "starting the server: fork: %s", strerror(error));
}

void ag_child_forget(ag_child *c) {
    close(c->talk);
    close(c->flight);
    *c = (ag_child){.role = AG_CHILD_NONE};
}
