#include "unit/test.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include "par/pool.h"

typedef struct tally {
    _Atomic int runs[1000];
    _Atomic int workers[8];
    int delay_us;
} tally;

static void count(void *ctx, int chunk, int worker) {
    tally *t = ctx;
    atomic_fetch_add(&t->runs[chunk], 1);
    atomic_fetch_add(&t->workers[worker], 1);
    if (t->delay_us)
        usleep((unsigned)t->delay_us);
}

static void every_chunk_runs_exactly_once(void **state) {
    (void)state;
    ag_err err;
    for (int threads = 1; threads <= 5; threads++) {
        ag_pool *p = NULL;
        assert_int_equal(ag_pool_new(threads, &p, &err), AG_OK);
        assert_int_equal(ag_pool_threads(p), threads);
        for (int round = 0; round < 3000; round++) {
            static tally t;
            int n = round % 37;
            for (int i = 0; i < n; i++)
                atomic_store(&t.runs[i], 0);
            if (round % 2)
                ag_pool_run(p, n, count, &t);
            else
                ag_pool_run_uneven(p, n, count, &t);
            for (int i = 0; i < n; i++)
                assert_int_equal(atomic_load(&t.runs[i]), 1);
        }
        ag_pool_free(&p);
        assert_null(p);
    }
}

static void sleeping_workers_wake_and_share_the_work(void **state) {
    (void)state;
    ag_err err;
    ag_pool *p = NULL;
    assert_int_equal(ag_pool_new(4, &p, &err), AG_OK);
    for (int round = 0; round < 5; round++) {
        static tally t;
        t = (tally){.delay_us = 500};
        usleep(20000); /* long past the spin */
        ag_pool_run(p, 200, count, &t);
        for (int w = 0; w < 4; w++)
            assert_true(atomic_load(&t.workers[w]) > 0);
    }
    ag_pool_free(&p);
}

/* Chunk 0 ends when all others have. */
static void wait_for_others(void *ctx, int chunk, int worker) {
    tally *t = ctx;
    (void)worker;
    atomic_fetch_add(&t->runs[chunk != 0], 1);
    for (int tries = 0; chunk == 0 && tries < 50000 && atomic_load(&t->runs[1]) < 199; tries++)
        usleep(100);
    if (chunk == 0)
        atomic_store(&t->runs[2], atomic_load(&t->runs[1]));
}

static void beside_a_long_chunk_all_others_are_done(void **state) {
    (void)state;
    ag_err err;
    ag_pool *p = NULL;
    assert_int_equal(ag_pool_new(2, &p, &err), AG_OK);
    static tally t;
    ag_pool_run_uneven(p, 200, wait_for_others, &t);
    assert_int_equal(atomic_load(&t.runs[2]), 199);
    ag_pool_free(&p);
}

static void a_wrong_number_of_threads_is_refused(void **state) {
    (void)state;
    ag_err err;
    ag_pool *p = NULL;
    assert_int_equal(ag_pool_new(0, &p, &err), AG_E_ARG);
    assert_int_equal(ag_pool_new(AG_POOL_MAX_THREADS + 1, &p, &err), AG_E_ARG);
    assert_null(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_chunk_runs_exactly_once),
        cmocka_unit_test(sleeping_workers_wake_and_share_the_work),
        cmocka_unit_test(beside_a_long_chunk_all_others_are_done),
        cmocka_unit_test(a_wrong_number_of_threads_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
