#include "par/seat.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

void ag_seat_take(ag_seat *s) {
    static _Thread_local pid_t own; /* asking is a system call */
    if (own == 0)
        own = gettid();
    atomic_store_explicit(&s->tid, own, memory_order_relaxed);
}

/* Taken while somebody is moved: who read the set of a thread that another has just narrowed would
 * restore the narrow one. False: somebody is being moved, which may wait. */
static atomic_flag moving = ATOMIC_FLAG_INIT;

static bool begin_move(void) { return !atomic_flag_test_and_set(&moving); }
static void end_move(void) { atomic_flag_clear(&moving); }

void ag_seat_go_apart(ag_seat *seats, int n, int me) {
    const int here = sched_getcpu();
    bool together = false;
    for (int i = 0; i < n; i++)
        together |= i != me && seats[i].tid && seats[i].cpu == here;
    cpu_set_t allowed, apart;
    if (!together || !begin_move())
        return;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        apart = allowed;
        for (int i = 0; i < n; i++)
            if (i != me && seats[i].tid)
                CPU_CLR(seats[i].cpu, &apart);
        if (CPU_COUNT(&apart) > 0 && !sched_setaffinity(0, sizeof apart, &apart))
            (void)sched_setaffinity(0, sizeof allowed, &allowed);
    }
    end_move();
}

/* The clock of one thread by its number, as pthread_getcpuclockid() makes it; a number, unlike a
 * pthread_t, may be of a thread that has ended. 0 when it has. */
static uint64_t used_ns(pid_t tid) {
    struct timespec t;
    const clockid_t clock = (clockid_t)(~(unsigned)tid << 3 | 6);
    if (tid == 0 || clock_gettime(clock, &t))
        return 0;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void ag_seat_note(ag_seat *seats, int n) {
    for (int i = 0; i < n; i++)
        seats[i].used_ns = seats[i].working ? used_ns(seats[i].tid) : 0;
}

static bool bring(ag_seat *s) {
    const int here = sched_getcpu();
    const pid_t tid = s->tid;
    cpu_set_t allowed, only;
    if (here < 0 || sched_getaffinity(tid, sizeof allowed, &allowed) || !CPU_ISSET(here, &allowed))
        return false;
    CPU_ZERO(&only);
    CPU_SET(here, &only);
    if (sched_setaffinity(tid, sizeof only, &only))
        return false;
    (void)sched_setaffinity(tid, sizeof allowed, &allowed);
    s->cpu = here;
    return true;
}

void ag_seat_bring_lost(ag_seat *seats, int n, uint64_t waited_ns) {
    for (int i = 0; i < n; i++) {
        ag_seat *s = &seats[i];
        if (!s->working || s->used_ns == 0 || used_ns(s->tid) - s->used_ns >= waited_ns / 4)
            continue;
        if (!begin_move())
            return;
        bool brought = bring(s);
        end_move();
        if (brought)
            return;
    }
}
