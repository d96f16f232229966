/* What the files of this room share. */
#ifndef AG_PROCESS_PROCESS_H
#define AG_PROCESS_PROCESS_H

#include <sys/types.h>

#include "process/supervisor.h"

#define AG_BEAT_BYTES 160 /* one message: a letter and at most a line */

/* Messages of the child; its first from the supervisor is AG_BEAT_FIRST or AG_BEAT_HANDOVER. */
enum {
    AG_BEAT_READY = 'R',
    AG_BEAT_TICK = 'T',
    AG_BEAT_STATUS = 'S',
    AG_BEAT_FIRST = 'F',
    AG_BEAT_HANDOVER = 'H',
};

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
} ag_child;

/* fork and exec. AG_E_IO, AG_E_NOMEM. */
ag_code ag_child_start(ag_child *c, const ag_supervise_opts *o, ag_child_role role,
                       ag_err *err) AG_MUST_USE;
void ag_child_forget(ag_child *c);

/* Tell systemd; nothing without a socket. */
void ag_notify(const ag_supervise_opts *o, const char *state);

/* Write what is known about a child that died or hangs into flight_dir; `why` is one line. Of one
 * that lives (`alive`), every thread is asked for its stack first. */
void ag_flight_record(const ag_supervise_opts *o, const ag_child *c, const char *why, bool alive);
/* In the child: stacks go to fd on SIGQUIT (and on), and on a crash. */
void ag_flight_install(int fd);

#endif
