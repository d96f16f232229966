/* The server's end of the heartbeat. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "process/process.h"

struct ag_beat {
    int fd;
    bool handover;
};

ag_code ag_beat_open(size_t n_listeners, ag_beat **out, ag_err *err) {
    int fd = AG_PROCESS_FIRST_FD + (int)n_listeners;
    char first;
    *out = NULL;
    if (n_listeners > AG_MAX_LISTENERS || recv(fd, &first, 1, MSG_DONTWAIT) != 1)
        return ag_fail(err, AG_E_ARG,
                       "descriptor %d is not a supervisor's: start `autoglm serve` without "
                       "its internal options",
                       fd);
    ag_beat *b = ag_calloc(AG_ROOM_PROCESS, 1, sizeof *b);
    if (!b)
        return ag_fail(err, AG_E_NOMEM, "heartbeat: out of memory");
    for (int i = AG_PROCESS_FIRST_FD; i <= fd + 1; i++)
        (void)fcntl(i, F_SETFD, FD_CLOEXEC);
    *b = (ag_beat){fd, first == AG_BEAT_HANDOVER};
    ag_flight_install(fd + 1);
    *out = b;
    return AG_OK;
}

void ag_beat_close(ag_beat **b) {
    if (!*b)
        return;
    close((*b)->fd);
    ag_free(*b);
    *b = NULL;
}

bool ag_beat_is_handover(const ag_beat *b) { return b->handover; }

/* A full socket means that the supervisor has enough to read. */
static void say(ag_beat *b, char what, const char *text) {
    char message[AG_BEAT_BYTES] = {what};
    size_t n = strnlen(text, sizeof message - 1);
    memcpy(message + 1, text, n);
    (void)!send(b->fd, message, n + 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void ag_beat_ready(ag_beat *b) { say(b, AG_BEAT_READY, ""); }
void ag_beat_tick(ag_beat *b) { say(b, AG_BEAT_TICK, ""); }
void ag_beat_status(ag_beat *b, const char *line) { say(b, AG_BEAT_STATUS, line); }
