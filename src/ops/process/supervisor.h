/* The supervisor: owns the listening sockets, runs the server beside itself and keeps one running.
 * It reads no byte from outside, only short messages of its own child.
 *
 *            ag_beat_ready()           dead, stuck, or no beat for stall_ms
 *   STARTING ───────────────▶ RUNNING ─────────────────────────────────────▶ back-off ─▶ STARTING
 *      │ exits before ready,     │ SIGTERM: drain, exit                  too often: give up
 *      ▼ the first time          │ SIGHUP: forwarded
 *   give up                      │ SIGUSR2: another STARTING on the same sockets; when it is
 *                                ▼ ready this one drains, and nobody was refused
 *                             LEAVING
 *
 * While no server runs, connections wait in the sockets' backlog. The child is a fresh exec of
 * `argv`, in a process group of its own (a terminal's Ctrl-C reaches the supervisor alone), and
 * gets SIGTERM when the supervisor dies. SIGHUP is blocked in it, until it takes it. Descriptors in
 * it: the listening sockets from AG_PROCESS_FIRST_FD on, in order, and then what ag_beat_open()
 * wants.
 *
 * Thread: the process has no other; signals are taken over. */
#ifndef AG_PROCESS_SUPERVISOR_H
#define AG_PROCESS_SUPERVISOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"

#define AG_PROCESS_FIRST_FD  3
#define AG_MAX_LISTENERS     16
#define AG_LISTENER_NAME_MAX 128
#define AG_FLIGHTS_KEPT      16 /* records of crashes and stalls; a new one replaces the oldest */

/* ---- listening sockets -------------------------------------------------------------------------
 */

typedef struct ag_listener {
    int fd;                          /* close-on-exec */
    char name[AG_LISTENER_NAME_MAX]; /* as bound: "127.0.0.1:40123", "[::1]:80", "unix:/run/a.sock"
                                      */
} ag_listener;

/* Listen on "HOST:PORT", "[V6]:PORT" or "unix:/PATH"; port 0 takes a free one. A socket file that
 * nobody serves any more is replaced. AG_E_ARG (not an address, unknown host), AG_E_IO (in use,
 * permission). */
ag_code ag_listener_open(ag_listener *l, const char *address, ag_err *err) AG_MUST_USE;
/* Also removes the file of a unix socket. */
void ag_listener_close(ag_listener *l);

/* ---- the supervisor's side ---------------------------------------------------------------------
 */

/* Zero means the default named beside a field. */
typedef struct ag_supervise_opts {
    /* Of the child, NULL-terminated. argv[0] is found anew each time: give a path, since after an
     * upgrade /proc/self/exe is still the old program. */
    char *const *argv;
    const ag_listener *listeners;
    size_t n_listeners;
    const char *notify_socket; /* $NOTIFY_SOCKET: systemd's protocol; NULL: nobody is told */
    uint64_t watchdog_us;      /* $WATCHDOG_USEC; 0: no watchdog */
    const char *flight_dir;    /* records of crashes and stalls; NULL: none are written */
    uint32_t stall_ms;         /* 30 s; from the start on, so beat while loading too */
    uint32_t handover_ms;      /* a new server that is not ready by then is given up; 10 min */
    uint32_t drain_ms;         /* from SIGTERM to SIGKILL; 2 min */
    uint32_t first_delay_ms;   /* before a restart, doubled up to max_delay_ms; 100 */
    uint32_t max_delay_ms;     /* 10 s */
    uint32_t max_restarts;     /* within window_ms, then give up; 5 */
    uint32_t window_ms;        /* 1 min */
    ag_logger log;
} ag_supervise_opts;

/* Run until told to stop or nothing helps. Returns the exit code: 0 after a drain, the child's own
 * when it exits before it was ever ready or by itself with 0, else 1; *err then says why. */
int ag_supervise(const ag_supervise_opts *opts, ag_err *err);

/* Why a server was started in another's place. */
#define AG_RESTART_MAP(X)                                                                          \
    X(CRASH, "crash")     /* it died of a signal of its own making */                              \
    X(KILLED, "killed")   /* somebody else's SIGKILL or SIGTERM: the system's, out of memory */    \
    X(EXIT, "exit")       /* it ended with an error */                                             \
    X(STALL, "stall")     /* it hung */                                                            \
    X(UPGRADE, "upgrade") /* a hand-over that was asked for */

typedef enum ag_restart {
#define AG_RESTART_ENUM(id, name) AG_RESTART_##id,
    AG_RESTART_MAP(AG_RESTART_ENUM)
#undef AG_RESTART_ENUM
        AG_RESTART_COUNT
} ag_restart;

/* "crash" */
const char *ag_restart_name(ag_restart why);

/* ---- the server's side: any thread -------------------------------------------------------------
 */

typedef struct ag_beat ag_beat;

/* In a child with n listeners. Crashes and stalls of this process leave the stacks of its threads
 * with the supervisor from now on. AG_E_ARG (not started by a supervisor), AG_E_NOMEM. */
ag_code ag_beat_open(size_t n_listeners, ag_beat **out, ag_err *err) AG_MUST_USE;
void ag_beat_close(ag_beat **b);
/* Is another server still serving? Then accept nothing before this one is ready. */
bool ag_beat_is_handover(const ag_beat *b);
/* Ready to serve: once. */
void ag_beat_ready(ag_beat *b);
/* After SIGTERM: has another server taken over the sockets? If not, nobody answers but this one. */
bool ag_beat_is_replaced(ag_beat *b);
/* Alive: several times within stall_ms, by whoever knows that the server moves. */
void ag_beat_tick(ag_beat *b);
/* This server hangs, says `why` (one line): it is to be recorded and replaced now. */
void ag_beat_stuck(ag_beat *b, const char *why);
/* How often this supervisor has started a server in another's place; this one is counted. */
uint64_t ag_beat_restarts(ag_beat *b, ag_restart why);
/* What happened to the one before, a line that lives as long as b; "" in the first and in a
 * hand-over. */
const char *ag_beat_why(const ag_beat *b);
/* One line for `systemctl status`. */
void ag_beat_status(ag_beat *b, const char *line);

#endif
