#include "unit/test.h"

#include "net/net.h"
#include "unit/net/server.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"

#define OK_TEXT                                                                                    \
    "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"

static ag_net *client(void) {
    ag_net *net = NULL;
    ag_err err = {0};
    assert_int_equal(ag_net_new(NULL, &net, &err), AG_OK);
    return net;
}

/* One request with a buffer of `cap` bytes; gives the code, and the body as text. */
static ag_code get(ag_net_request *q, ag_net_reply *r, char *body, size_t cap, ag_err *err) {
    ag_net *net = client();
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_TEST, cap);
    q->out = &out;
    ag_code code = ag_net_do(net, q, r, err);
    snprintf(body, 64, "%.*s", AG_SPAN(ag_buf_span(&out)));
    ag_buf_deinit(&out);
    ag_net_free(&net);
    return code;
}

static void an_answer_has_status_headers_and_body(void **state) {
    (void)state;
    server s = {.answer = {OK_TEXT}, .n_answers = 1};
    server_open(&s);
    static const char *const want[] = {"etag", "x-absent", NULL};
    const ag_net_header headers[] = {{"X-Mine", "yes", false}, {"X-Empty", "", false}};
    ag_net_request q = {.url = s.url, .want = want, .headers = headers, .n_headers = 2};
    ag_net_reply r;
    ag_err err = {0};
    ag_net *net = client();
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_TEST, 100);
    q.out = &out;
    assert_int_equal(ag_net_do(net, &q, &r, &err), AG_OK);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.length, 5);
    assert_string_equal(r.value[0], "\"e\"");
    assert_null(r.value[1]);
    assert_string_equal(ag_buf_cstr(&out), "hello");
    ag_buf_deinit(&out);
    ag_net_free(&net);
    server_close(&s);
    assert_non_null(strstr(s.asked[0], "GET /a HTTP/1.1\r\n"));
    assert_non_null(strstr(s.asked[0], "X-Mine: yes\r\n"));
    assert_non_null(strstr(s.asked[0], "X-Empty:\r\n"));
    assert_non_null(strstr(s.asked[0], "User-Agent: autoglm/"));
    assert_null(strstr(s.asked[0], "Accept-Encoding"));
}

static void a_body_is_sent(void **state) {
    (void)state;
    server s = {.answer = {OK_TEXT}, .n_answers = 1};
    server_open(&s);
    ag_net_request q = {.url = s.url, .method = "PUT", .body = ag_str("{}")};
    ag_net_reply r;
    ag_err err = {0};
    char body[64];
    assert_int_equal(get(&q, &r, body, 100, &err), AG_OK);
    server_close(&s);
    assert_non_null(strstr(s.asked[0], "PUT /a HTTP/1.1\r\n"));
    assert_non_null(strstr(s.asked[0], "Content-Length: 2\r\n"));
}

static void a_refusal_is_an_answer_and_its_body_is_cut(void **state) {
    (void)state;
    size_t n = AG_NET_MAX_ERROR * 3;
    char *big = malloc(n);
    int head = snprintf(big, 100, "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n");
    memset(big + head, 'x', n - (size_t)head);
    server s = {.answer = {big}, .answer_n = {n}, .n_answers = 1};
    server_open(&s);
    ag_net_request q = {.url = s.url};
    ag_net_reply r;
    ag_err err = {0};
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_TEST, 1 << 20);
    q.out = &out;
    ag_net *net = client();
    assert_int_equal(ag_net_do(net, &q, &r, &err), AG_OK);
    assert_int_equal(r.status, 404);
    assert_int_equal(out.n, AG_NET_MAX_ERROR);
    ag_buf_deinit(&out);
    ag_net_free(&net);
    server_close(&s);
    free(big);
}

static void an_answer_past_the_limit_is_refused(void **state) {
    (void)state;
    const char *unannounced = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello";
    server s = {.answer = {OK_TEXT, unannounced, OK_TEXT}, .n_answers = 3};
    server_open(&s);
    ag_net_reply r;
    ag_err err = {0};
    char body[64];
    ag_net_request q = {.url = s.url, .max_bytes = 4};
    assert_int_equal(get(&q, &r, body, 100, &err), AG_E_LIMIT);
    assert_int_equal(get(&q, &r, body, 100, &err), AG_E_LIMIT);
    q.max_bytes = 0;
    assert_int_equal(get(&q, &r, body, 4, &err), AG_E_LIMIT);
    server_close(&s);
}

static void secrets_stay_with_their_origin(void **state) {
    (void)state;
    server other = {.answer = {OK_TEXT}, .n_answers = 1};
    server_open(&other);
    char away[256];
    snprintf(away, sizeof away,
             "HTTP/1.1 302 Found\r\nX-First: 1\r\nETag: \"first\"\r\nLocation: %s\r\n"
             "Content-Length: 0\r\nConnection: close\r\n\r\n",
             other.url);
    const char *here = "HTTP/1.1 307 Moved\r\nLocation: /b?c=d\r\nContent-Length: 0\r\n"
                       "Connection: close\r\n\r\n";
    server s = {.answer = {here, away}, .n_answers = 2};
    server_open(&s);
    static const char *const want[] = {"ETag", "X-First", NULL};
    const ag_net_header headers[] = {{"Authorization", "Bearer secret", true},
                                     {"Range", "bytes=3-", false}};
    ag_net_request q = {
        .url = s.url, .headers = headers, .n_headers = 2, .max_redirects = 2, .want = want};
    ag_net_reply r;
    ag_err err = {0};
    ag_net *net = client();
    assert_int_equal(ag_net_do(net, &q, &r, &err), AG_OK);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.redirects, 2);
    assert_string_equal(r.value[0], "\"e\""); /* the last one's */
    assert_string_equal(r.value[1], "1");     /* of the way */
    ag_net_free(&net);
    server_close(&s);
    server_close(&other);
    assert_non_null(strstr(s.asked[0], "Bearer secret"));
    assert_non_null(strstr(s.asked[1], "GET /b?c=d HTTP/1.1"));
    assert_non_null(strstr(s.asked[1], "Bearer secret"));
    assert_null(strstr(other.asked[0], "secret"));
    assert_null(strstr(other.asked[0], "Authorization"));
    assert_non_null(strstr(other.asked[0], "Range: bytes=3-"));
}

static void redirects_are_bounded(void **state) {
    (void)state;
    const char *around = "HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\n"
                         "Connection: close\r\n\r\n";
    server s = {.answer = {around, around, around, around}, .n_answers = 4};
    server_open(&s);
    ag_net_reply r;
    ag_err err = {0};
    char body[64];
    ag_net_request q = {.url = s.url, .max_redirects = 2};
    assert_int_equal(get(&q, &r, body, 100, &err), AG_E_LIMIT);
    assert_non_null(strstr(err.msg, "too many redirects"));
    q.max_redirects = 0; /* then they are answers */
    assert_int_equal(get(&q, &r, body, 100, &err), AG_OK);
    assert_int_equal(r.status, 302);
    server_close(&s);
}

static void redirects_to_other_protocols_are_refused(void **state) {
    (void)state;
    const char *answers[] = {"file:///etc/passwd", "ftp://127.0.0.1/x", "http://me:pw@127.0.0.1/"};
    for (int i = 0; i < 3; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n"
                 "Connection: close\r\n\r\n",
                 answers[i]);
        server s = {.answer = {text}, .n_answers = 1};
        server_open(&s);
        ag_net_reply r;
        ag_err err = {0};
        char body[64];
        ag_net_request q = {.url = s.url, .max_redirects = 5};
        assert_int_equal(get(&q, &r, body, 100, &err), AG_E_FORMAT);
        assert_null(strstr(err.msg, "pw"));
        server_close(&s);
    }
}

static void what_may_pass_is_tried_again(void **state) {
    (void)state;
    const char *busy = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy";
    const char *broken = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nhal";
    server s = {.answer = {busy, broken, OK_TEXT}, .n_answers = 3};
    server_open(&s);
    ag_net_reply r;
    ag_err err = {0};
    char body[64];
    ag_net_request q = {.url = s.url, .retries = 2};
    assert_int_equal(get(&q, &r, body, 100, &err), AG_OK);
    assert_int_equal(r.status, 200);
    assert_string_equal(body, "hello"); /* nothing of the tries before */
    server_close(&s);
}

static void a_long_wait_is_not_waited_for(void **state) {
    (void)state;
    const char *later = "HTTP/1.1 429 Later\r\nRetry-After: 3600\r\nContent-Length: 0\r\n"
                        "Connection: close\r\n\r\n";
    server s = {.answer = {later}, .n_answers = 1};
    server_open(&s);
    ag_net_reply r;
    ag_err err = {0};
    char body[64];
    ag_net_request q = {.url = s.url, .retries = 5};
    assert_int_equal(get(&q, &r, body, 100, &err), AG_OK);
    assert_int_equal(r.status, 429);
    assert_int_equal(r.retry_after_s, 3600);
    server_close(&s);
}

static void a_dead_host_is_named(void **state) {
    (void)state;
    server s = {.n_answers = 0};
    server_open(&s);
    server_close(&s); /* now nobody listens there */
    ag_net_reply r;
    ag_err err = {0};
    char body[64];
    ag_net_request q = {.url = s.url};
    assert_int_equal(get(&q, &r, body, 100, &err), AG_E_AGAIN);
    assert_non_null(strstr(err.msg, "127.0.0.1:"));
    assert_int_equal(r.status, 0);
}

static bool stop_after(void *ctx) { return ag_clock_us() > *(uint64_t *)ctx; }

static void a_silent_server_can_be_left(void **state) {
    (void)state;
    server s = {.answer = {NULL}, .n_answers = 1};
    server_open(&s);
    uint64_t began = ag_clock_us(), at = began + 100000;
    ag_net_reply r;
    ag_err err = {0};
    char body[64];
    ag_net_request q = {.url = s.url, .is_stopped = stop_after, .ctx = &at, .retries = 3};
    assert_int_equal(get(&q, &r, body, 100, &err), AG_E_CANCELLED);
    assert_true(ag_clock_us() - began < 5000000);
    server_close(&s);
}

static void a_silent_server_is_left_in_time(void **state) {
    (void)state;
    server s = {.answer = {NULL}, .n_answers = 1};
    server_open(&s);
    ag_net_reply r;
    ag_err err = {0};
    char body[64];
    ag_net_request q = {.url = s.url, .total_ms = 100};
    assert_int_equal(get(&q, &r, body, 100, &err), AG_E_AGAIN);
    server_close(&s);
}

static ag_code refuse_body(void *ctx, ag_span piece, ag_err *err) {
    (void)ctx;
    (void)piece;
    return ag_fail(err, AG_E_IO, "the disk is full");
}

static void an_error_of_the_receiver_ends_it(void **state) {
    (void)state;
    server s = {.answer = {OK_TEXT}, .n_answers = 1};
    server_open(&s);
    ag_net *net = client();
    ag_net_reply r;
    ag_err err = {0};
    ag_net_request q = {.url = s.url, .on_body = refuse_body, .retries = 3};
    assert_int_equal(ag_net_do(net, &q, &r, &err), AG_E_IO);
    assert_string_equal(err.msg, "the disk is full");
    ag_net_free(&net);
    server_close(&s);
}

static void headers_cannot_smuggle_lines(void **state) {
    (void)state;
    const ag_net_header bad[] = {{"X", "a\r\nY: b", false}, {"X:", "a", false}, {"", "a", false}};
    for (int i = 0; i < 3; i++) {
        ag_net_reply r;
        ag_err err = {0};
        char body[64];
        ag_net_request q = {.url = "http://127.0.0.1:1/", .headers = &bad[i], .n_headers = 1};
        assert_int_equal(get(&q, &r, body, 100, &err), AG_E_ARG);
    }
}

static void addresses_are_checked(void **state) {
    (void)state;
    const char *bad[] = {"",
                         "huggingface.co/x",
                         "ftp://a/",
                         "file:///etc/passwd",
                         "http://",
                         "https://u@a/",
                         "https://u:p@a/",
                         "http://a b/",
                         "http://a/\nx",
                         "https://a:99999/"};
    ag_err err = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(ag_net_check_url(bad[i], &err), AG_E_ARG);
    assert_int_equal(ag_net_check_url("https://huggingface.co/api?x=1", &err), AG_OK);
    assert_int_equal(ag_net_check_url("http://[::1]:80/", &err), AG_OK);
    char text[AG_NET_HOST_TEXT];
    assert_string_equal(ag_net_host("https://a.b/secret?key=1", text), "a.b");
    assert_string_equal(ag_net_host("http://a.b:81/", text), "a.b:81");
    assert_true(ag_net_same_origin("https://A.b/x", "https://a.b:443/y"));
    assert_false(ag_net_same_origin("https://a.b/", "http://a.b/"));
    assert_false(ag_net_same_origin("https://a.b/", "https://a.b:444/"));
    assert_false(ag_net_same_origin("https://a.b/", "https://a.b.c/"));
    assert_false(ag_net_same_origin("nothing", "nothing"));
    assert_true(ag_net_is_private("https://a.b/") && ag_net_is_private("http://127.9.9.9:1/") &&
                ag_net_is_private("http://localhost/") && ag_net_is_private("http://[::1]/"));
    assert_false(ag_net_is_private("http://a.b/") || ag_net_is_private("http://127.0.0.1.b/"));
}

static void waits_grow_within_their_bounds(void **state) {
    (void)state;
    ag_net_backoff b;
    ag_net_backoff_init(&b, 100, 1000, 1);
    for (uint32_t n = 0; n < 40; n++) {
        uint32_t most = n < 4 ? 100u << n : 1000u;
        assert_true(ag_net_backoff_next(&b, 0) <= most);
    }
    assert_true(ag_net_backoff_next(&b, 5000) == 5000);
    ag_net_backoff_reset(&b);
    assert_true(ag_net_backoff_next(&b, 0) <= 100);
    uint64_t at = 0;
    assert_false(ag_net_sleep(60000, stop_after, &at));
}

int main(void) {
    for (const char *const *v = (const char *const[]){"http_proxy", "all_proxy", "ALL_PROXY", NULL};
         *v; v++)
        unsetenv(*v);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_has_status_headers_and_body),
        cmocka_unit_test(a_body_is_sent),
        cmocka_unit_test(a_refusal_is_an_answer_and_its_body_is_cut),
        cmocka_unit_test(an_answer_past_the_limit_is_refused),
        cmocka_unit_test(secrets_stay_with_their_origin),
        cmocka_unit_test(redirects_are_bounded),
        cmocka_unit_test(redirects_to_other_protocols_are_refused),
        cmocka_unit_test(what_may_pass_is_tried_again),
        cmocka_unit_test(a_long_wait_is_not_waited_for),
        cmocka_unit_test(a_dead_host_is_named),
        cmocka_unit_test(a_silent_server_can_be_left),
        cmocka_unit_test(a_silent_server_is_left_in_time),
        cmocka_unit_test(an_error_of_the_receiver_ends_it),
        cmocka_unit_test(headers_cannot_smuggle_lines),
        cmocka_unit_test(addresses_are_checked),
        cmocka_unit_test(waits_grow_within_their_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
