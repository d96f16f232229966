/* A supervisor with a small server, for the tests beside it.
 *
 * usage: process_server supervise ADDRESS... [OPTION=VALUE...]   prints "listening ADDRESS" lines
 *          stall_ms drain_ms delay_ms restarts window_ms handover_ms flight notify watchdog_us
 * child process_server child N [never-ready | exit=N | slow=MS]   (what the supervisor runs)
 *
 * The server answers one line of a connection and closes: "pid", "crash", "stall", "stuck", "sleep
 * MS", "reloads", "restarts", "leave". */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "process/supervisor.h"

static atomic_int busy, reloads, terms;
static atomic_bool stalled;
static ag_beat *beat;

/* ---- the child ---------------------------------------------------------------------------------
 */

static void on_signal(int signal) {
    if (signal == SIGHUP)
        reloads++;
    else if (++terms > 1)
        _exit(3);
}

static void tell_restarts(char *answer, size_t room) {
    int n = 0;
    for (int i = 0; i < AG_RESTART_COUNT; i++)
        n += snprintf(answer + n, room - (size_t)n, "%s %d, ", ag_restart_name((ag_restart)i),
                      (int)ag_beat_restarts(beat, (ag_restart)i));
    snprintf(answer + n, room - (size_t)n, "%s\n", ag_beat_why(beat));
}

static void *serve(void *arg) {
    int fd = (int)(intptr_t)arg;
    char line[64] = "", answer[256] = "?\n";
    ssize_t n = read(fd, line, sizeof line - 1);
    line[n > 0 ? strcspn(line, "\r\n") : 0] = '\0';
    if (strncmp(line, "sleep ", 6) == 0)
        usleep((useconds_t)strtoul(line + 6, NULL, 10) * 1000);
    if (strcmp(line, "crash") == 0)
        abort();
    if (strcmp(line, "leave") == 0)
        _exit(0);
    if (strcmp(line, "stall") == 0)
        stalled = true;
    if (strcmp(line, "stuck") == 0)
        ag_beat_stuck(beat, "a wheel\ndoes not turn");
    if (strcmp(line, "reloads") == 0)
        snprintf(answer, sizeof answer, "%d\n", reloads);
    else if (strcmp(line, "restarts") == 0)
        tell_restarts(answer, sizeof answer);
    else
        snprintf(answer, sizeof answer, "pid %d\n", (int)getpid());
    (void)!write(fd, answer, strlen(answer));
    close(fd);
    busy--;
    return NULL;
}

static int child(int n, const char *how) {
    ag_err err;
    struct pollfd fds[16];
    if (strncmp(how, "exit=", 5) == 0)
        return atoi(how + 5);
    if (ag_beat_open((size_t)n, &beat, &err) != AG_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return 2;
    }
    struct sigaction act = {.sa_handler = on_signal};
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGHUP, &act, NULL);
    sigset_t held; /* the supervisor holds it back until it is taken */
    sigemptyset(&held);
    sigaddset(&held, SIGHUP);
    sigprocmask(SIG_UNBLOCK, &held, NULL);
    signal(SIGPIPE, SIG_IGN);
    bool ready = false;
    long wait = strncmp(how, "slow=", 5) == 0     ? atol(how + 5)
                : strcmp(how, "never-ready") == 0 ? 1000000000
                                                  : 0;
    for (long ms = 0; !terms; ms += 10) {
        if (!stalled)
            ag_beat_tick(beat);
        if (!ready && ms >= wait) {
            ready = true;
            ag_beat_status(beat, "serving\nwell");
            ag_beat_ready(beat);
        }
        for (int i = 0; i < n; i++)
            fds[i] = (struct pollfd){.fd = ready || !ag_beat_is_handover(beat) ? 3 + i : -1,
                                     .events = POLLIN};
        if (poll(fds, (nfds_t)n, 10) <= 0)
            continue;
        for (int i = 0; i < n; i++) {
            pthread_t t;
            int fd = fds[i].revents ? accept(3 + i, NULL, NULL) : -1;
            if (fd < 0)
                continue;
            busy++;
            pthread_create(&t, NULL, serve, (void *)(intptr_t)fd);
            pthread_detach(t);
        }
    }
    while (busy > 0)
        usleep(1000);
    ag_beat_close(&beat);
    return 0;
}

/* ---- the supervisor ----------------------------------------------------------------------------
 */

static void write_log(void *ctx, ag_log_level level, const char *component, const char *line) {
    (void)ctx, (void)level, (void)component;
    fprintf(stderr, "%s\n", line);
}

static const char *option(int argc, char **argv, const char *name) {
    size_t n = strlen(name);
    for (int i = 2; i < argc; i++)
        if (strncmp(argv[i], name, n) == 0 && argv[i][n] == '=')
            return argv[i] + n + 1;
    return NULL;
}

static int supervise(int argc, char **argv) {
    ag_listener listeners[AG_MAX_LISTENERS];
    ag_err err = {0};
    size_t n = 0;
    for (int i = 2; i < argc; i++) {
        if (strchr(argv[i], '='))
            continue;
        if (ag_listener_open(&listeners[n], argv[i], &err) != AG_OK) {
            fprintf(stderr, "%s\n", err.msg);
            return 1;
        }
        printf("listening %s\n", listeners[n++].name);
    }
    fflush(stdout);
#define NUMBER(name)                                                                               \
    (option(argc, argv, name) ? (uint32_t)strtoul(option(argc, argv, name), NULL, 10) : 0)
    char count[8], self[] = "/proc/self/exe", mode[] = "child";
    snprintf(count, sizeof count, "%zu", n);
    char *how = (char *)option(argc, argv, "child");
    char *child_argv[] = {option(argc, argv, "program") ? (char *)option(argc, argv, "program")
                                                        : self,
                          mode, count, how, NULL};
    ag_supervise_opts o = {
        .argv = child_argv,
        .listeners = listeners,
        .n_listeners = n,
        .notify_socket = option(argc, argv, "notify"),
        .watchdog_us = NUMBER("watchdog_us"),
        .flight_dir = option(argc, argv, "flight"),
        .stall_ms = NUMBER("stall_ms"),
        .handover_ms = NUMBER("handover_ms"),
        .drain_ms = NUMBER("drain_ms"),
        .first_delay_ms = NUMBER("delay_ms"),
        .max_restarts = NUMBER("restarts"),
        .window_ms = NUMBER("window_ms"),
        .log = {.write = write_log, .level = AG_LOG_DEBUG},
    };
    int code = ag_supervise(&o, &err);
    if (code != 0)
        fprintf(stderr, "gave up: %s\n", err.msg);
    for (size_t i = 0; i < n; i++)
        ag_listener_close(&listeners[i]);
    return code;
}

int main(int argc, char **argv) {
    if (argc >= 3 && strcmp(argv[1], "child") == 0)
        return child(atoi(argv[2]), argc > 3 ? argv[3] : "");
    return argc >= 2 ? supervise(argc, argv) : 2;
}
