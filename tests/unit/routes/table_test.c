/* The table as a whole: every route denies without a key, and what is not in it is told in the same
 * shape as everything else. */
#include <stdio.h>

#include "unit/test.h"

#include "routes/problem.h"
#include "routes/routes.h"
#include "routes/table.h"
#include "unit/routes/fake_http.h"

typedef struct world {
    ag_runtime *runtime;
    ag_keys *keys;
    ag_routes *routes;
    ag_http_handler handler;
    ag_http_req req;
} world;

static const char *const aliases[] = {"other"};
/* Lazy and never asked for: nothing is opened. */
static const ag_served_decl model = {.name = "tiny",
                                     .aliases = aliases,
                                     .n_aliases = 1,
                                     .opts = {.model = "no/such/file"},
                                     .lazy = true};

static int set_up(void **state) {
    static world w;
    ag_err err = {0};
    memset(&w, 0, sizeof w);
    ag_runtime_opts runtime = {.models = &model, .n_models = 1};
    assert_int_equal(ag_runtime_open(&runtime, &w.runtime, &err), AG_OK);
    assert_int_equal(ag_keys_parse(ag_str("alice secret-1\nsecret-2\n"), "keys", &w.keys, &err),
                     AG_OK);
    ag_routes_opts routes = {.runtime = w.runtime, .keys = w.keys};
    assert_int_equal(ag_routes_new(&routes, &w.routes, &err), AG_OK);
    w.handler = ag_routes_handler(w.routes);
    *state = &w;
    return 0;
}

static int tear_down(void **state) {
    world *w = *state;
    assert_int_equal(w->req.refs, 0);
    ag_routes_stop(w->routes);
    ag_runtime_close(&w->runtime);
    ag_routes_free(&w->routes);
    ag_keys_free(&w->keys);
    free(w->req.answer_headers);
    return 0;
}

static int ask(world *w, const char *method, const char *path, const char *key) {
    w->req.method = method;
    w->req.path = path;
    w->req.body = "{}";
    w->req.names[0] = key ? "Authorization" : NULL;
    w->req.values[0] = key;
    fake_exchange(&w->handler, &w->req);
    return w->req.status;
}

static bool has_header(const world *w, const char *line) {
    return w->req.answer_headers && strstr(w->req.answer_headers, line);
}

/* The path of a row with something for {}. */
static void path_of(const ag_route *r, char *path, size_t room) {
    const char *hole = strstr(r->path, "{}");
    if (hole)
        snprintf(path, room, "%.*stiny%s", (int)(hole - r->path), r->path, hole + 2);
    else
        snprintf(path, room, "%s", r->path);
}

static void every_route_but_the_probes_denies_without_a_key(void **state) {
    world *w = *state;
    static const char *const bad[] = {
        NULL,       "Bearer ",          "Bearer nobody", "Basic secret-1",
        "secret-1", "Bearer secret-1x", "Bearer secret-"};
    size_t n_open = 0;
    for (const ag_route *r = ag_route_table; r->verb; r++) {
        char path[128];
        path_of(r, path, sizeof path);
        if (r->permission == AG_MAY_PROBE) {
            n_open++;
            assert_int_not_equal(ask(w, r->verb, path, NULL), 401);
            continue;
        }
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            assert_int_equal(ask(w, r->verb, path, bad[i]), 401);
            assert_non_null(strstr(w->req.answer, "\"type\":\"authentication_error\""));
            assert_true(has_header(w, "www-authenticate: Bearer"));
        }
        assert_int_not_equal(ask(w, r->verb, path, "Bearer secret-1"), 401);
        assert_int_not_equal(ask(w, r->verb, path, "bearer  secret-2"), 401);
    }
    assert_int_equal(n_open, 6);
}

static void what_exists_is_not_told_without_a_key(void **state) {
    world *w = *state;
    assert_int_equal(ask(w, "GET", "/nothing", NULL), 401);
    assert_int_equal(ask(w, "GET", "/v1/chat/completions", NULL), 401);
}

static void an_unknown_path_is_404_and_a_wrong_verb_405_with_allow(void **state) {
    world *w = *state;
    assert_int_equal(ask(w, "GET", "/nothing", "Bearer secret-1"), 404);
    assert_non_null(strstr(w->req.answer, "\"code\":\"not_found\""));
    assert_false(has_header(w, "allow:"));
    assert_int_equal(ask(w, "GET", "/v1/chat/completions", "Bearer secret-1"), 405);
    assert_true(has_header(w, "allow: POST\n"));
    assert_int_equal(ask(w, "PATCH", "/v1/models", "Bearer secret-1"), 405);
    assert_true(has_header(w, "allow: GET, HEAD\n"));
    assert_int_equal(ask(w, "HEAD", "/v1/models", "Bearer secret-1"), 200);
}

static void a_request_id_is_kept_when_it_is_sane_and_made_otherwise(void **state) {
    world *w = *state;
    w->req.names[1] = "X-Request-Id";
    w->req.values[1] = "abc-1.2:3_4";
    ask(w, "GET", "/nothing", "Bearer secret-1");
    assert_true(has_header(w, "x-request-id: abc-1.2:3_4\n"));
    w->req.values[1] = "a b";
    ask(w, "GET", "/health", "Bearer secret-1");
    assert_false(has_header(w, "a b"));
    assert_true(has_header(w, "x-request-id: "));
    w->req.names[1] = NULL;
}

static void a_traceparent_comes_back_when_it_is_one(void **state) {
    world *w = *state;
    w->req.names[1] = "traceparent";
#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN  "b7ad6b7169203331"
    static const char *const bad[] = {
        "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01",
        "ff-" TRACE "-" SPAN "-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01",
        "00." TRACE "." SPAN ".01",
        "00-" TRACE "-" SPAN "-0",
        "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
        "",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        w->req.values[1] = bad[i];
        assert_int_equal(ask(w, "GET", "/health", "Bearer secret-1"), 200);
        assert_false(has_header(w, "traceparent:"));
    }
    w->req.values[1] = "00-" TRACE "-" SPAN "-01";
    ask(w, "GET", "/health", "Bearer secret-1");
    assert_true(has_header(w, "traceparent: 00-" TRACE "-" SPAN "-01\n"));
    w->req.names[1] = NULL;
}

static void patterns_take_names_with_slashes(void **state) {
    (void)state;
    char arg[64], allow[64];
    const ag_route *r =
        ag_route_find("GET", "/v1/models/org/name/ready", arg, sizeof arg, allow, sizeof allow);
    assert_string_equal(r->path, "/v1/models/{}/ready");
    assert_string_equal(arg, "org/name");
    r = ag_route_find("HEAD", "/v1/models/org/name", arg, sizeof arg, allow, sizeof allow);
    assert_string_equal(r->path, "/v1/models/{}");
    assert_string_equal(arg, "org/name");
    assert_null(ag_route_find("GET", "/v1/models/", arg, sizeof arg, allow, sizeof allow));
    assert_string_equal(allow, "");
    char small[4];
    assert_false(ag_route_match("/a/{}", "/a/long", small, sizeof small));
}

static void an_unknown_model_is_404_model_not_found(void **state) {
    world *w = *state;
    assert_int_equal(ask(w, "GET", "/v1/models/none", "Bearer secret-1"), 404);
    assert_non_null(strstr(w->req.answer, "\"code\":\"model_not_found\""));
    assert_int_equal(ask(w, "GET", "/v1/models/other", "Bearer secret-1"), 200);
    assert_non_null(strstr(w->req.answer, "\"id\":\"other\""));
}

static bool has(const ag_http_header *h, size_t n, const char *name, const char *value) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(h[i].name, name) == 0)
            return strcmp(h[i].value, value) == 0;
    return false;
}

/* No request of the HTTP room's own: it had no memory for a body. */
static void a_refusal_for_now_says_when_to_come_back(void **state) {
    world *w = *state;
    for (int status = 413; status <= 503; status += 503 - 413) {
        ag_http_refusal what = {.peer = "192.0.2.1", .status = status};
        ag_http_header h[AG_HTTP_REFUSAL_HEADERS];
        ag_buf body;
        ag_buf_init(&body, AG_ROOM_TEST, 4096);
        size_t n = w->handler.on_refuse(w->handler.ctx, &what, h, &body);
        assert_true(n <= AG_HTTP_REFUSAL_HEADERS);
        assert_int_equal(has(h, n, "retry-after", "1"), status == 503);
        assert_int_equal(has(h, n, "retry-after-ms", "1000"), status == 503);
        assert_int_equal(has(h, n, "x-should-retry", "true"), status == 503);
        ag_buf_deinit(&body);
    }
}

static void what_lacks_memory_may_be_asked_again(void **state) {
    (void)state;
    ag_problem p;
    ag_problem_set(&p, 503, "server_error", "out_of_memory", NULL, "out of memory");
    assert_true(p.retry_s > 0);
    ag_problem_set(&p, 499, "request_cancelled", "cancelled", NULL, "cancelled");
    assert_true(p.retry_s == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_but_the_probes_denies_without_a_key),
        cmocka_unit_test(what_exists_is_not_told_without_a_key),
        cmocka_unit_test(an_unknown_path_is_404_and_a_wrong_verb_405_with_allow),
        cmocka_unit_test(a_request_id_is_kept_when_it_is_sane_and_made_otherwise),
        cmocka_unit_test(a_traceparent_comes_back_when_it_is_one),
        cmocka_unit_test(patterns_take_names_with_slashes),
        cmocka_unit_test(an_unknown_model_is_404_model_not_found),
        cmocka_unit_test(a_refusal_for_now_says_when_to_come_back),
        cmocka_unit_test(what_lacks_memory_may_be_asked_again),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
