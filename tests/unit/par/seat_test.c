#include "unit/test.h"

#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <time.h>

#include <pthread.h>

#include "par/seat.h"

enum { WAITED_NS = 2000000 };

static uint64_t own_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Whoever shares a core goes to another where there is one, and may afterwards run where it might.
 */
static void who_shares_a_core_goes_apart(void **state) {
    (void)state;
    cpu_set_t before, here, after;
    ag_seat seats[2] = {0};
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    int cpu = sched_getcpu();
    CPU_ZERO(&here);
    CPU_SET(cpu, &here);
    assert_int_equal(sched_setaffinity(0, sizeof here, &here), 0);
    seats[0].tid = 1;
    seats[0].cpu = cpu;
    ag_seat_take(&seats[1]);
    ag_seat_go_apart(seats, 2, 1); /* nowhere to go */
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&here, &after));

    int left = 0;
    for (int round = 0; round < 20; round++) {
        assert_int_equal(sched_setaffinity(0, sizeof here, &here), 0);
        assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
        int was = sched_getcpu();
        seats[0].cpu = was;
        ag_seat_go_apart(seats, 2, 1);
        left += sched_getcpu() != was;
        assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
        assert_true(CPU_EQUAL(&before, &after));
    }
    if (CPU_COUNT(&before) > 1)
        assert_true(left > 0);
}

typedef struct sleeper {
    ag_seat *seat;
    sem_t ready, end;
} sleeper;

static void *sleep_in_a_chunk(void *arg) {
    sleeper *s = arg;
    ag_seat_take(s->seat);
    s->seat->cpu = -1;
    s->seat->working = true;
    sem_post(&s->ready);
    sem_wait(&s->end);
    return NULL;
}

static void only_a_thread_that_stands_still_is_brought(void **state) {
    (void)state;
    ag_seat seats[2] = {0};
    sleeper s = {.seat = &seats[1]};
    pthread_t thread;
    sem_init(&s.ready, 0, 0);
    sem_init(&s.end, 0, 0);
    assert_int_equal(pthread_create(&thread, NULL, sleep_in_a_chunk, &s), 0);
    sem_wait(&s.ready);
    ag_seat_take(&seats[0]);
    seats[0].cpu = -1;
    seats[0].working = true;

    ag_seat_note(seats, 2);
    for (uint64_t began = own_ns(); own_ns() - began < WAITED_NS;)
        ;
    seats[1].working = false; /* nor one that is in no chunk */
    ag_seat_bring_lost(seats, 2, WAITED_NS);
    assert_int_equal(seats[0].cpu, -1);
    assert_int_equal(seats[1].cpu, -1);

    seats[1].working = true;
    ag_seat_bring_lost(seats, 2, WAITED_NS);
    assert_int_equal(seats[0].cpu, -1);
    assert_true(seats[1].cpu >= 0);

    sem_post(&s.end);
    pthread_join(thread, NULL);
    sem_destroy(&s.ready);
    sem_destroy(&s.end);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_shares_a_core_goes_apart),
        cmocka_unit_test(only_a_thread_that_stands_still_is_brought),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
