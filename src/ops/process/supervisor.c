#include "process/supervisor.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "process/process.h"

enum {
    SLOTS = 4,         /* the current server, one coming, some leaving */
    ABORT_MS = 2000,   /* from a second SIGTERM to SIGKILL */
    STEADY_MS = 60000, /* a server that lived so long is worth the first delay again */
    MAX_RESTARTS = 64, /* remembered */
};

typedef struct supervisor {
    ag_supervise_opts o; /* defaults filled in */
    ag_child children[SLOTS];
    int signals; /* signalfd */
    ag_rng rng;
    bool ever_ready;
    int stops;           /* SIGTERM so far */
    uint64_t restart_us; /* back-off ends; 0: none */
    uint32_t delay_ms;   /* the next back-off */
    uint64_t restarts_us[MAX_RESTARTS];
    uint32_t n_restarts;
    ag_restarts before;   /* what servers are told */
    uint64_t watchdog_us; /* next WATCHDOG=1 */
    bool done;
    int exit_code;
    ag_err *err;
} supervisor;

#define LOG(s, level, ...) ag_log(&(s)->o.log, AG_LOG_##level, "supervisor", __VA_ARGS__)

static uint64_t in_ms(uint32_t ms) { return ag_clock_us() + (uint64_t)ms * 1000; }

static ag_child *find(supervisor *s, ag_child_role role) {
    for (int i = 0; i < SLOTS; i++)
        if (s->children[i].role == role)
            return &s->children[i];
    return NULL;
}

static void finish(supervisor *s, int exit_code) {
    s->done = true;
    s->exit_code = exit_code;
}

/* ---- starting and stopping ---------------------------------------------------------------------
 */

/* Ask a server to drain; it is killed when it takes too long. */
static void leave(supervisor *s, ag_child *c, ag_child_role role) {
    c->role = role;
    kill(c->pid, SIGTERM);
    c->kill_us = in_ms(s->o.drain_ms);
}

/* A jittered delay, doubled each time. */
static void schedule_restart(supervisor *s) {
    uint32_t ms = s->delay_ms / 2 + (uint32_t)(ag_rng_f64(&s->rng) * (s->delay_ms / 2.0));
    s->restart_us = in_ms(ms);
    s->delay_ms = s->delay_ms > s->o.max_delay_ms / 2 ? s->o.max_delay_ms : s->delay_ms * 2;
    LOG(s, WARN, "restarting in %u ms; connections wait meanwhile", ms);
    ag_notify(&s->o, "STATUS=restarting after a failure");
}

/* Restarts within the window, this one included. */
static uint32_t count_restart(supervisor *s) {
    uint64_t now = ag_clock_us(), window = (uint64_t)s->o.window_ms * 1000;
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_restarts; i++)
        if (now - s->restarts_us[i] < window)
            s->restarts_us[n++] = s->restarts_us[i];
    if (n < MAX_RESTARTS)
        s->restarts_us[n++] = now;
    s->n_restarts = n;
    return n;
}

/* After a server died or could not be started: another try, unless there were too many. */
static void try_again(supervisor *s, const char *why) {
    if (count_restart(s) > s->o.max_restarts) {
        ag_fail(s->err, AG_E_CLOSED, "the server died %u times within %u s, last by %s: giving up",
                s->n_restarts, s->o.window_ms / 1000, why);
        finish(s, 1);
        return;
    }
    schedule_restart(s);
}

static void start(supervisor *s, ag_child_role role) {
    ag_child *c = find(s, AG_CHILD_NONE);
    if (!c) {
        LOG(s, WARN, "no new server: others are still draining");
        return;
    }
    ag_restarts before = s->before;
    before.n[AG_RESTART_UPGRADE] += role == AG_CHILD_COMING; /* for good when it is ready */
    ag_code code = ag_child_start(c, &s->o, role, &before, s->err);
    if (code == AG_OK)
        LOG(s, INFO, "server started, pid %d", (int)c->pid);
    else if (role == AG_CHILD_CURRENT && s->ever_ready)
        try_again(s, "a lack of resources to start it");
    else if (role == AG_CHILD_CURRENT)
        finish(s, 1);
    else
        LOG(s, ERROR, "no new server: %s", s->err ? s->err->msg : "out of resources");
}

/* ---- the end of a server -----------------------------------------------------------------------
 */

/* Of one that this supervisor killed, its own reason. */
static void describe(const ag_child *c, int status, char why[AG_WHY_BYTES]) {
    if (c->doom[0])
        memcpy(why, c->doom, AG_WHY_BYTES);
    else if (WIFSIGNALED(status))
        snprintf(why, AG_WHY_BYTES, "killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(why, AG_WHY_BYTES, "exit code %d", WEXITSTATUS(status));
}

static bool was_killed(int status) {
    return WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGTERM);
}

static void count(supervisor *s, const ag_child *dead, int status, const char *why) {
    s->before.n[dead->doom[0]         ? AG_RESTART_STALL
                : was_killed(status)  ? AG_RESTART_KILLED
                : WIFSIGNALED(status) ? AG_RESTART_CRASH
                                      : AG_RESTART_EXIT]++;
    snprintf(s->before.why, sizeof s->before.why, "%s", why);
}

static void current_ended(supervisor *s, ag_child dead, int status, const char *why) {
    ag_child *coming = find(s, AG_CHILD_COMING);
    if (s->stops > 0) {
        LOG(s, INFO, "server left: %s", why);
        ag_fail(s->err, AG_E_CLOSED, "the server did not drain: %s", why);
        s->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status) != SIGTERM;
        return;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        LOG(s, INFO, "server ended by itself");
        finish(s, 0);
        return;
    }
    LOG(s, ERROR, "server pid %d died: %s", (int)dead.pid, why);
    if (!s->ever_ready && WIFEXITED(status)) { /* it has said why: a wrong option, a missing file */
        ag_fail(s->err, AG_E_CLOSED, "the server did not start: %s", why);
        finish(s, WEXITSTATUS(status));
        return;
    }
    count(s, &dead, status, why);
    if (coming) { /* which takes over as soon as it can, instead of another */
        coming->role = AG_CHILD_CURRENT;
        ag_child_tell(coming, AG_BEAT_NEWS, &s->before);
        return;
    }
    if (ag_clock_us() - dead.born_us > (uint64_t)STEADY_MS * 1000)
        s->delay_ms = s->o.first_delay_ms;
    try_again(s, why);
}

static void ended(supervisor *s, ag_child *c, int status) {
    ag_child dead = *c;
    char why[AG_WHY_BYTES];
    describe(c, status, why);
    /* SIGKILL is also the kernel's, when memory is short; if this supervisor's own, it is told
     * already, or was expected. */
    if (WIFSIGNALED(status) && !(was_killed(status) && c->kill_us))
        ag_flight_record(&s->o, c, why, false);
    ag_child_forget(c);
    if (dead.role == AG_CHILD_CURRENT)
        current_ended(s, dead, status, why);
    else if (dead.role == AG_CHILD_COMING)
        LOG(s, ERROR, "the new server did not become ready (%s); the old one goes on", why);
    else
        LOG(s, INFO, "old server pid %d left: %s", (int)dead.pid, why);
}

static void reap(supervisor *s) {
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (int i = 0; i < SLOTS; i++)
            if (s->children[i].role != AG_CHILD_NONE && s->children[i].pid == pid)
                ended(s, &s->children[i], status);
}

/* ---- messages ----------------------------------------------------------------------------------
 */

static void became_ready(supervisor *s, ag_child *c) {
    ag_child *old = find(s, AG_CHILD_CURRENT);
    c->ready = true;
    LOG(s, INFO, "server pid %d is ready after %" PRIu64 " ms", (int)c->pid,
        (ag_clock_us() - c->born_us) / 1000);
    if (c->role == AG_CHILD_COMING && old) {
        LOG(s, INFO, "it takes over from pid %d, which drains", (int)old->pid);
        ag_child_tell(old, AG_BEAT_REPLACED, &s->before);
        leave(s, old, AG_CHILD_LEAVING);
    }
    if (c->role == AG_CHILD_COMING) {
        c->role = AG_CHILD_CURRENT;
        s->before.n[AG_RESTART_UPGRADE]++;
    }
    if (!s->ever_ready)
        ag_notify(&s->o, "READY=1\nSTATUS=ready");
    s->ever_ready = true;
}

/* Record a server that hangs, and kill it. */
static void put_down(supervisor *s, ag_child *c, const char *why) {
    snprintf(c->doom, sizeof c->doom, "%s", why);
    LOG(s, ERROR, "server pid %d: %s: killed", (int)c->pid, c->doom);
    ag_flight_record(&s->o, c, c->doom, true);
    kill(c->pid, SIGKILL);
    c->kill_us = UINT64_MAX;
}

/* What a server says as one line, whatever it says; others' protocols are made of such. */
static void take_line(const char *text, size_t n, char *line, size_t room) {
    if (n > room - 1)
        n = room - 1;
    for (size_t i = 0; i < n; i++)
        line[i] = (unsigned char)text[i] < ' ' ? ' ' : text[i];
    line[n] = '\0';
}

static void take_status(supervisor *s, ag_child *c, const char *text, size_t n) {
    char state[AG_BEAT_BYTES + 16];
    take_line(text, n, c->status, sizeof c->status);
    if (c->role != AG_CHILD_CURRENT)
        return;
    snprintf(state, sizeof state, "STATUS=%s", c->status);
    ag_notify(&s->o, state);
}

static void listen_to(supervisor *s, ag_child *c) {
    char message[AG_BEAT_BYTES];
    ssize_t n;
    while ((n = recv(c->talk, message, sizeof message, MSG_DONTWAIT)) > 0) {
        c->beat_us = ag_clock_us();
        if (message[0] == AG_BEAT_READY && !c->ready && c->role != AG_CHILD_LEAVING)
            became_ready(s, c);
        else if (message[0] == AG_BEAT_STATUS)
            take_status(s, c, message + 1, (size_t)n - 1);
        else if (message[0] == AG_BEAT_STUCK && !c->kill_us) {
            char why[AG_WHY_BYTES];
            take_line(message + 1, (size_t)n - 1, why, sizeof why);
            put_down(s, c, why);
        }
    }
    c->mute = n == 0;
}

/* ---- signals -----------------------------------------------------------------------------------
 */

static void stop(supervisor *s) {
    s->stops++;
    if (s->stops == 1) {
        LOG(s, INFO, "stopping: the server drains");
        ag_notify(&s->o, "STOPPING=1\nSTATUS=draining");
    } else {
        LOG(s, WARN, "stopping now");
    }
    s->restart_us = 0;
    for (int i = 0; i < SLOTS; i++) {
        ag_child *c = &s->children[i];
        if (c->role == AG_CHILD_NONE || (c->role == AG_CHILD_LEAVING && s->stops == 1))
            continue;
        leave(s, c, c->role == AG_CHILD_COMING ? AG_CHILD_LEAVING : c->role);
        if (s->stops > 1)
            c->kill_us = s->stops == 2 ? in_ms(ABORT_MS) : 1;
    }
}

static void reload(supervisor *s) {
    for (int i = 0; i < SLOTS; i++)
        if (s->children[i].role == AG_CHILD_CURRENT || s->children[i].role == AG_CHILD_COMING)
            kill(s->children[i].pid, SIGHUP);
}

static void upgrade(supervisor *s) {
    if (s->stops > 0 || find(s, AG_CHILD_COMING)) {
        LOG(s, WARN, "no upgrade: %s", s->stops ? "stopping" : "one is going on");
        return;
    }
    ag_child *current = find(s, AG_CHILD_CURRENT);
    LOG(s, INFO, "upgrade: starting a new server beside the old one");
    s->restart_us = 0;
    start(s, current ? AG_CHILD_COMING : AG_CHILD_CURRENT);
}

static void take_signals(supervisor *s) {
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            stop(s);
        else if (info.ssi_signo == SIGHUP)
            reload(s);
        else if (info.ssi_signo == SIGUSR2)
            upgrade(s);
    }
    reap(s);
}

/* ---- time --------------------------------------------------------------------------------------
 */

static void check_child(supervisor *s, ag_child *c, uint64_t now) {
    char why[AG_WHY_BYTES] = "";
    if (c->kill_us) {
        if (now >= c->kill_us) {
            LOG(s, WARN, "server pid %d did not leave in time: killed", (int)c->pid);
            kill(c->pid, SIGKILL);
            c->kill_us = UINT64_MAX;
        }
        return;
    }
    if (now - c->beat_us >= (uint64_t)s->o.stall_ms * 1000) {
        snprintf(why, sizeof why, "no heartbeat for %" PRIu64 " ms", (now - c->beat_us) / 1000);
    } else if (c->role == AG_CHILD_COMING &&
               now - c->born_us >= (uint64_t)s->o.handover_ms * 1000) {
        snprintf(why, sizeof why, "not ready after %u ms", s->o.handover_ms);
    } else {
        return;
    }
    put_down(s, c, why);
}

static void pass_time(supervisor *s) {
    uint64_t now = ag_clock_us();
    for (int i = 0; i < SLOTS; i++)
        if (s->children[i].role != AG_CHILD_NONE)
            check_child(s, &s->children[i], now);
    if (s->restart_us && now >= s->restart_us) {
        s->restart_us = 0;
        start(s, AG_CHILD_CURRENT);
    }
    /* systemd watches the supervisor, the supervisor the server. */
    if (s->o.watchdog_us && now >= s->watchdog_us) {
        s->watchdog_us = now + s->o.watchdog_us / 2;
        ag_notify(&s->o, "WATCHDOG=1");
    }
}

static void earlier(uint64_t *at, uint64_t candidate) {
    if (candidate < *at)
        *at = candidate;
}

static int wait_ms(const supervisor *s) {
    uint64_t at = s->restart_us ? s->restart_us : UINT64_MAX, now = ag_clock_us();
    if (s->o.watchdog_us)
        earlier(&at, s->watchdog_us);
    for (int i = 0; i < SLOTS; i++) {
        const ag_child *c = &s->children[i];
        if (c->role == AG_CHILD_NONE)
            continue;
        earlier(&at, c->kill_us ? c->kill_us : c->beat_us + (uint64_t)s->o.stall_ms * 1000);
        if (c->role == AG_CHILD_COMING)
            earlier(&at, c->born_us + (uint64_t)s->o.handover_ms * 1000);
    }
    if (at == UINT64_MAX)
        return -1;
    uint64_t ms = at <= now ? 0 : (at - now) / 1000 + 1;
    return ms < 3600000 ? (int)ms : 3600000;
}

/* ---- the loop ----------------------------------------------------------------------------------
 */

static bool any_child(const supervisor *s) {
    for (int i = 0; i < SLOTS; i++)
        if (s->children[i].role != AG_CHILD_NONE)
            return true;
    return false;
}

static void turn(supervisor *s) {
    struct pollfd fds[1 + SLOTS] = {{.fd = s->signals, .events = POLLIN}};
    for (int i = 0; i < SLOTS; i++)
        fds[1 + i] = (struct pollfd){
            .fd = s->children[i].role && !s->children[i].mute ? s->children[i].talk : -1,
            .events = POLLIN};
    (void)poll(fds, 1 + SLOTS, wait_ms(s));
    for (int i = 0; i < SLOTS; i++)
        if (fds[1 + i].revents && s->children[i].role)
            listen_to(s, &s->children[i]);
    take_signals(s);
    pass_time(s);
}

static void fill_options(supervisor *s, const ag_supervise_opts *o) {
    s->o = *o;
#define DEFAULT(field, value) s->o.field = o->field ? o->field : (value)
    DEFAULT(stall_ms, 30000);
    DEFAULT(handover_ms, 600000);
    DEFAULT(drain_ms, 120000);
    DEFAULT(first_delay_ms, 100);
    DEFAULT(max_delay_ms, 10000);
    DEFAULT(max_restarts, 5);
    DEFAULT(window_ms, 60000);
#undef DEFAULT
    if (s->o.max_restarts >= MAX_RESTARTS)
        s->o.max_restarts = MAX_RESTARTS - 1;
    s->delay_ms = s->o.first_delay_ms;
    ag_rng_init(&s->rng, ag_random_seed());
}

int ag_supervise(const ag_supervise_opts *opts, ag_err *err) {
    supervisor s = {.err = err};
    sigset_t mine, before;
    if (opts->n_listeners > AG_MAX_LISTENERS || !opts->argv || !opts->argv[0]) {
        ag_fail(err, AG_E_ARG, "at most %d listening addresses", AG_MAX_LISTENERS);
        return 1;
    }
    fill_options(&s, opts);
    sigemptyset(&mine);
    const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGCHLD};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaddset(&mine, signals[i]);
    sigprocmask(SIG_BLOCK, &mine, &before);
    s.signals = signalfd(-1, &mine, SFD_NONBLOCK | SFD_CLOEXEC);
    if (s.signals < 0) {
        ag_fail(err, AG_E_IO, "supervisor: signalfd: %s", strerror(errno));
        return 1;
    }
    start(&s, AG_CHILD_CURRENT);
    while (!s.done && (any_child(&s) || (s.stops == 0 && s.restart_us)))
        turn(&s);
    for (int i = 0; i < SLOTS; i++)
        if (s.children[i].role != AG_CHILD_NONE) { /* giving up: none is left behind */
            kill(s.children[i].pid, SIGKILL);
            waitpid(s.children[i].pid, NULL, 0);
            ag_child_forget(&s.children[i]);
        }
    close(s.signals);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return s.exit_code;
}
