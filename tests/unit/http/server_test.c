#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/http.h"

static int fd;
static struct sockaddr_in address;

static bool on_head(void *ctx, ag_http_req *r, size_t *limit) {
    (void)ctx, (void)r, (void)limit;
    return true;
}

/* Half whole, half streamed. */
static void on_request(void *ctx, ag_http_req *r) {
    (void)ctx;
    ag_http_header type = {"Content-Type", "text/plain"};
    ag_buf body;
    ag_buf_init(&body, AG_ROOM_TEST, 100);
    if (strcmp(ag_http_path(r), "/whole") == 0) {
        ag_buf_adds(&body, "answer");
        ag_http_reply(r, 200, &type, 1, &body);
        return;
    }
    ag_http_stream_begin(r, 200, &type, 1);
    (void)ag_http_stream_push(r, ag_str("answer"));
    ag_http_stream_end(r);
}

static size_t on_refuse(void *ctx, const ag_http_refusal *what,
                        ag_http_header headers[AG_HTTP_REFUSAL_HEADERS], ag_buf *body) {
    (void)ctx;
    ag_buf_adds(body, what->reason);
    headers[0] = (ag_http_header){"Content-Type", "text/plain"};
    return 1;
}

static ag_http_opts options(void) {
    return (ag_http_opts){
        .fds = &fd,
        .n_fds = 1,
        .handler = {.on_head = on_head, .on_request = on_request, .on_refuse = on_refuse}};
}

static int setup(void **state) {
    (void)state;
    socklen_t n = sizeof address;
    address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    fd = socket(AF_INET, SOCK_STREAM, 0);
    return bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 16) ||
           getsockname(fd, (struct sockaddr *)&address, &n);
}

static int teardown(void **state) {
    (void)state;
    close(fd);
    return 0;
}

static void options_that_cannot_work_are_refused(void **state) {
    (void)state;
    ag_http *h;
    ag_err err;
    ag_http_opts o = options();
    o.n_fds = 0;
    assert_int_equal(ag_http_open(&o, &h, &err), AG_E_ARG);
    o = options();
    o.handler.on_refuse = NULL;
    assert_int_equal(ag_http_open(&o, &h, &err), AG_E_ARG);
    o = options();
    o.stream_low = 10;
    o.stream_high = 10;
    assert_int_equal(ag_http_open(&o, &h, &err), AG_E_ARG);
    int bad = 9999;
    o = options();
    o.fds = &bad;
    assert_int_equal(ag_http_open(&o, &h, &err), AG_E_ARG);
    ag_http_tls tls = {"/nowhere/cert.pem", "/nowhere/key.pem"};
    o = options();
    o.tls = &tls;
    assert_int_equal(ag_http_open(&o, &h, &err), AG_E_NOT_FOUND);
    assert_non_null(strstr(err.msg, "/nowhere/cert.pem"));
    assert_null(h);
    assert_int_equal(ag_mem_bytes(AG_ROOM_HTTP), 0);
}

/* One exchange; true when the whole answer came. */
static bool ask(const char *path) {
    char out[200], in[1000];
    size_t n = 0;
    int s = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(s, (struct sockaddr *)&address, sizeof address), 0);
    int len = snprintf(out, sizeof out,
                       "GET %s?a=b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", path);
    assert_int_equal(write(s, out, (size_t)len), len);
    for (ssize_t k; n < sizeof in - 1 && (k = read(s, in + n, sizeof in - 1 - n)) > 0;)
        n += (size_t)k;
    in[n] = '\0';
    close(s);
    return strstr(in, "answer") != NULL;
}

static void memory_that_runs_out_costs_an_exchange_and_never_the_server(void **state) {
    (void)state;
    ag_http_opts o = options();
    ag_http *h;
    ag_err err;
    for (long n = 1; n < 200; n++) {
        ag_fault_arm(AG_FAULT_ALLOC, n, false);
        ag_code code = ag_http_open(&o, &h, &err);
        if (code == AG_OK) {
            (void)ask("/whole");
            (void)ask("/stream");
        } else {
            assert_int_equal(code, AG_E_NOMEM);
        }
        bool fired = ag_fault_fired(AG_FAULT_ALLOC);
        ag_fault_arm(AG_FAULT_ALLOC, 0, false);
        if (code == AG_OK) {
            assert_true(ask("/whole"));
            assert_true(ask("/stream"));
            ag_http_close(&h);
        }
        assert_int_equal(ag_mem_bytes(AG_ROOM_HTTP), 0);
        if (!fired) {
            assert_true(n > 5);
            return;
        }
    }
    fail_msg("faults never ended");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(options_that_cannot_work_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_that_runs_out_costs_an_exchange_and_never_the_server,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
