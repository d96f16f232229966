/* The server's end of the heartbeat. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "process/process.h"

struct ag_beat {
    int fd;
    bool handover;
    char why[AG_WHY_BYTES];
    pthread_mutex_t lock; /* guards what follows */
    ag_restarts restarts;
    bool replaced;
};

const char *ag_restart_name(ag_restart why) {
    static const char *const names[] = {
#define AG_RESTART_NAME(id, name) name,
        AG_RESTART_MAP(AG_RESTART_NAME)
#undef AG_RESTART_NAME
    };
    return names[why];
}

void ag_restarts_read(ag_restarts *r, const char *text) {
    char name[32];
    unsigned long long n;
    int used;
    *r = (ag_restarts){0};
    for (; sscanf(text, " %31[a-z]=%llu%n", name, &n, &used) == 2; text += used)
        for (int i = 0; i < AG_RESTART_COUNT; i++)
            if (strcmp(name, ag_restart_name((ag_restart)i)) == 0)
                r->n[i] = n;
    if (*text == '\n')
        snprintf(r->why, sizeof r->why, "%s", text + 1);
}

/* The next message of the supervisor as text; false: there is none. */
static bool hear(int fd, char text[AG_BEAT_BYTES + 1]) {
    ssize_t n = recv(fd, text, AG_BEAT_BYTES, MSG_DONTWAIT);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

ag_code ag_beat_open(size_t n_listeners, ag_beat **out, ag_err *err) {
    int fd = AG_PROCESS_FIRST_FD + (int)n_listeners;
    char first[AG_BEAT_BYTES + 1];
    *out = NULL;
    if (n_listeners > AG_MAX_LISTENERS || !hear(fd, first))
        return ag_fail(err, AG_E_ARG,
                       "descriptor %d is not a supervisor's: start `autoglm serve` without "
                       "its internal options",
                       fd);
    ag_beat *b = ag_calloc(AG_ROOM_PROCESS, 1, sizeof *b);
    if (!b)
        return ag_fail(err, AG_E_NOMEM, "heartbeat: out of memory");
    for (int i = AG_PROCESS_FIRST_FD; i <= fd + 1; i++)
        (void)fcntl(i, F_SETFD, FD_CLOEXEC);
    *b = (ag_beat){.fd = fd, .handover = first[0] == AG_BEAT_HANDOVER};
    pthread_mutex_init(&b->lock, NULL);
    ag_restarts_read(&b->restarts, first + 1);
    if (!b->handover)
        memcpy(b->why, b->restarts.why, sizeof b->why);
    ag_flight_install(fd + 1);
    *out = b;
    return AG_OK;
}

void ag_beat_close(ag_beat **b) {
    if (!*b)
        return;
    close((*b)->fd);
    pthread_mutex_destroy(&(*b)->lock);
    ag_free(*b);
    *b = NULL;
}

bool ag_beat_is_handover(const ag_beat *b) { return b->handover; }
const char *ag_beat_why(const ag_beat *b) { return b->why; }

/* With the lock held. */
static void hear_all(ag_beat *b) {
    char news[AG_BEAT_BYTES + 1];
    while (hear(b->fd, news)) {
        b->replaced |= news[0] == AG_BEAT_REPLACED;
        ag_restarts_read(&b->restarts, news + 1);
    }
}

uint64_t ag_beat_restarts(ag_beat *b, ag_restart why) {
    pthread_mutex_lock(&b->lock);
    hear_all(b);
    uint64_t n = b->restarts.n[why];
    pthread_mutex_unlock(&b->lock);
    return n;
}

bool ag_beat_is_replaced(ag_beat *b) {
    pthread_mutex_lock(&b->lock);
    hear_all(b);
    bool replaced = b->replaced;
    pthread_mutex_unlock(&b->lock);
    return replaced;
}

/* A full socket means that the supervisor has enough to read. */
static void say(ag_beat *b, char what, const char *text) {
    char message[AG_BEAT_BYTES] = {what};
    size_t n = strnlen(text, sizeof message - 1);
    memcpy(message + 1, text, n);
    (void)!send(b->fd, message, n + 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void ag_beat_ready(ag_beat *b) { say(b, AG_BEAT_READY, ""); }
void ag_beat_tick(ag_beat *b) { say(b, AG_BEAT_TICK, ""); }
void ag_beat_stuck(ag_beat *b, const char *why) { say(b, AG_BEAT_STUCK, why); }
void ag_beat_status(ag_beat *b, const char *line) { say(b, AG_BEAT_STATUS, line); }
