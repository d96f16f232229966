/* Private to par/: on which core each thread of a pool was seen, and moving one when the system
 * left them badly placed. That happens only beside other processes, when there are more threads to
 * run than cores:
 *
 * - Together: a thread that is woken is often put on the core of the one that woke it. There both
 *   stay: they take turns on one core while the neighbour has the other to itself, and as no core
 *   is idle the system sees nothing to mend. The woken one goes apart.
 * - Lost: a thread that the neighbour displaced in the middle of a chunk waits for its next turn,
 *   some milliseconds, and all others wait for the chunk. A waiting thread sees that the other's
 *   processor time stands still, brings it to its own core and sleeps.
 *
 * Both only change where the system puts a thread at this moment: its set of allowed cores is the
 * same before and after. Where a call is refused nothing happens. */
#ifndef AG_PAR_SEAT_H
#define AG_PAR_SEAT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct ag_seat {
    _Alignas(64) _Atomic pid_t tid; /* 0: the thread has not begun */
    _Atomic int cpu;                /* where it began its latest chunk, or was brought to */
    _Atomic bool working;           /* is in a chunk */
    uint64_t used_ns;               /* its processor time when last noted; the watcher's */
} ag_seat;

/* The calling thread is the seat's from now on; costs next to nothing when it was. */
void ag_seat_take(ag_seat *s);
/* Move the calling thread, seats[me], off the cores of the others, if it is on one of them and may
 * run on any other. */
void ag_seat_go_apart(ag_seat *seats, int n, int me);
/* Remember the processor time of the threads that are in a chunk. */
void ag_seat_note(ag_seat *seats, int n);
/* Bring here one that is in a chunk and used next to nothing of the `waited_ns` since it was noted.
 */
void ag_seat_bring_lost(ag_seat *seats, int n, uint64_t waited_ns);

#endif
