/* States and leases around models that cannot be loaded; loaded ones are in tests/serve. */
#include <pthread.h>
#include <string.h>

#include "unit/test.h"

#include "runtime/runtime.h"

typedef struct watcher {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int n; /* calls of on_state */
} watcher;

static void on_state(void *ctx, const ag_served_status *s) {
    watcher *w = ctx;
    (void)s;
    pthread_mutex_lock(&w->lock);
    w->n++;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

static void wait_for(watcher *w, int n) {
    pthread_mutex_lock(&w->lock);
    while (w->n < n)
        pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

static const char *const names[] = {"big", "huge"};
static const ag_served_decl models[] = {
    {.name = "small", .opts = {.model = "no/such/file"}},
    {.name = "lazy",
     .aliases = names,
     .n_aliases = 2,
     .opts = {.model = "no/such/other"},
     .lazy = true},
};

static void a_model_that_cannot_be_loaded_says_why_and_leaves_the_others_alone(void **state) {
    (void)state;
    watcher w = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    ag_runtime_opts opts = {.models = models, .n_models = 2, .on_state = on_state, .ctx = &w};
    ag_runtime *rt;
    ag_err err = {0};
    ag_served *served;
    ag_served_status s;
    assert_int_equal(ag_runtime_open(&opts, &rt, &err), AG_OK);
    wait_for(&w, 1);
    ag_runtime_status(rt, 0, &s);
    assert_int_equal(s.state, AG_SERVED_FAILED);
    assert_int_equal(ag_runtime_acquire(rt, "small", &served, &err), AG_E_NOT_FOUND);
    assert_non_null(strstr(err.msg, "no/such/file"));
    assert_null(served);
    assert_false(ag_runtime_is_ready(rt));

    ag_runtime_status(rt, 1, &s);
    assert_int_equal(s.state, AG_SERVED_ABSENT);
    assert_int_equal(ag_runtime_acquire(rt, "huge", &served, &err),
                     AG_E_AGAIN); /* begins to load it */
    wait_for(&w, 2);
    ag_runtime_status(rt, 1, &s);
    assert_int_equal(s.state, AG_SERVED_FAILED);
    assert_int_equal(ag_runtime_load(rt, "big", &err), AG_OK); /* and again */
    wait_for(&w, 3);
    ag_runtime_drain(rt);
    assert_int_equal(ag_runtime_acquire(rt, "big", &served, &err), AG_E_CLOSED);
    assert_int_equal(ag_runtime_load(rt, "big", &err), AG_E_CLOSED);
    ag_runtime_close(&rt);
    assert_null(rt);
}

static void names_are_checked_and_listed(void **state) {
    (void)state;
    static const char *const same[] = {"small"};
    const ag_served_decl twice[] = {models[0], {.name = "x", .aliases = same, .n_aliases = 1}};
    ag_runtime *rt;
    ag_err err = {0};
    ag_served *served;
    assert_int_equal(ag_runtime_open(&(ag_runtime_opts){.models = twice, .n_models = 2}, &rt, &err),
                     AG_E_ARG);
    assert_non_null(strstr(err.msg, "\"small\""));
    assert_int_equal(ag_runtime_open(&(ag_runtime_opts){0}, &rt, &err), AG_E_ARG);
    assert_int_equal(
        ag_runtime_open(&(ag_runtime_opts){.models = models + 1, .n_models = 1}, &rt, &err), AG_OK);
    assert_int_equal(ag_runtime_find(rt, "huge"), 0);
    assert_true(ag_runtime_find(rt, "hug") == SIZE_MAX);
    assert_int_equal(ag_runtime_acquire(rt, "none", &served, &err), AG_E_NOT_FOUND);
    assert_non_null(strstr(err.msg, "there is \"lazy\""));
    assert_true(ag_runtime_is_ready(rt)); /* lazy ones do not count */
    ag_runtime_close(&rt);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_that_cannot_be_loaded_says_why_and_leaves_the_others_alone),
        cmocka_unit_test(names_are_checked_and_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
