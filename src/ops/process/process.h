/* What the files of this room share. */
#ifndef AG_PROCESS_PROCESS_H
#define AG_PROCESS_PROCESS_H

#include <sys/types.h>

#include "process/supervisor.h"

#define AG_BEAT_BYTES 320 /* one message: a letter and text */
#define AG_WHY_BYTES  96  /* one line */

/* Messages of the child; those from the supervisor are AG_BEAT_FIRST or AG_BEAT_HANDOVER, which
 * comes first, then AG_BEAT_NEWS, and AG_BEAT_REPLACED before SIGTERM where another server has
 * taken over the sockets. They go on with text, see ag_restarts_write(). Either side
 * may be of another version, so whatever is not known is passed over. */
enum {
    AG_BEAT_READY = 'R',
    AG_BEAT_TICK = 'T',
    AG_BEAT_STATUS = 'S',
    AG_BEAT_STUCK = 'X',
    AG_BEAT_FIRST = 'F',
    AG_BEAT_HANDOVER = 'H',
    AG_BEAT_NEWS = 'N',
    AG_BEAT_REPLACED = 'O',
};

/* What the supervisor remembers of the servers before. */
typedef struct ag_restarts {
    uint64_t n[AG_RESTART_COUNT];
    char why[AG_WHY_BYTES]; /* the last failure; "": none */
} ag_restarts;

/* "crash=1 killed=0 ...", a line feed, and why. */
void ag_restarts_write(const ag_restarts *r, char *text, size_t room);
void ag_restarts_read(ag_restarts *r, const char *text);

typedef enum ag_child_role {
    AG_CHILD_NONE,
    AG_CHILD_CURRENT,
    AG_CHILD_COMING,
    AG_CHILD_LEAVING
} ag_child_role;

typedef struct ag_child {
    ag_child_role role;
    pid_t pid;
    int talk;   /* SOCK_SEQPACKET */
    int flight; /* memfd: stacks that the child's signal handler wrote */
    uint64_t born_us, beat_us;
    uint64_t kill_us; /* SIGKILL then; 0: not asked to leave */
    bool ready;
    bool mute; /* has closed its end */
    char status[AG_BEAT_BYTES];
    char doom[AG_WHY_BYTES]; /* why the supervisor kills it; "": it does not */
} ag_child;

/* fork and exec; the child is told `before`. AG_E_IO, AG_E_NOMEM. */
ag_code ag_child_start(ag_child *c, const ag_supervise_opts *o, ag_child_role role,
                       const ag_restarts *before, ag_err *err) AG_MUST_USE;
/* Tell a child something. */
void ag_child_tell(const ag_child *c, char what, const ag_restarts *r);
void ag_child_forget(ag_child *c);

/* Tell systemd; nothing without a socket. */
void ag_notify(const ag_supervise_opts *o, const char *state);

/* Write what is known about a child that died or hangs into flight_dir, and remove the oldest
 * records there; `why` is one line. Of one that lives (`alive`), every thread is asked for its
 * stack first. */
void ag_flight_record(const ag_supervise_opts *o, const ag_child *c, const char *why, bool alive);
/* In the child: stacks go to fd on SIGQUIT (and on), and on a crash. */
void ag_flight_install(int fd);

#endif
