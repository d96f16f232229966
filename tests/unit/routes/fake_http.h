/* The HTTP room as a few variables: a test builds a request, hands it to the routes' handler, and
 * looks at the answer. Linked instead of the real one. */
#ifndef AG_TESTS_FAKE_HTTP_H
#define AG_TESTS_FAKE_HTTP_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/http.h"

#define FAKE_HEADERS 16

struct ag_http_req {
    const char *method, *path, *body;
    const char *names[FAKE_HEADERS], *values[FAKE_HEADERS]; /* of the request */
    void *user;
    int refs;
    int status; /* of the answer; 0: none yet */
    char *answer_headers;
    char answer[65536];
};

const char *ag_http_method(const ag_http_req *r) { return r->method; }
const char *ag_http_path(const ag_http_req *r) { return r->path; }
const char *ag_http_query(const ag_http_req *r, const char *name) {
    (void)r;
    (void)name;
    return NULL;
}
const char *ag_http_get(const ag_http_req *r, const char *name) {
    for (int i = 0; i < FAKE_HEADERS && r->names[i]; i++)
        if (strcasecmp(r->names[i], name) == 0)
            return r->values[i];
    return NULL;
}
ag_span ag_http_body(const ag_http_req *r) { return ag_str(r->body); }
ag_buf ag_http_take_body(ag_http_req *r) {
    ag_buf taken;
    ag_buf_init(&taken, AG_ROOM_TEST, SIZE_MAX);
    ag_buf_adds(&taken, r->body);
    return taken;
}
const char *ag_http_peer(const ag_http_req *r) {
    (void)r;
    return "192.0.2.1";
}
bool ag_http_is_late(const ag_http_req *r) {
    (void)r;
    return false;
}
void ag_http_set_user(ag_http_req *r, void *user) { r->user = user; }
void *ag_http_user(const ag_http_req *r) { return r->user; }
void ag_http_req_ref(ag_http_req *r) { r->refs++; }
void ag_http_req_unref(ag_http_req *r) { r->refs--; }

void ag_http_reply(ag_http_req *r, int status, const ag_http_header *headers, size_t n_headers,
                   ag_buf *body) {
    if (r->status)
        return;
    r->status = status;
    ag_buf all;
    ag_buf_init(&all, AG_ROOM_TEST, 65536);
    for (size_t i = 0; i < n_headers; i++)
        ag_buf_addf(&all, "%s: %s\n", headers[i].name, headers[i].value);
    r->answer_headers = strdup(ag_buf_cstr(&all) ? all.p : "");
    ag_buf_deinit(&all);
    snprintf(r->answer, sizeof r->answer, "%.*s", AG_SPAN(ag_buf_span(body)));
    ag_buf_deinit(body);
}
void ag_http_stream_begin(ag_http_req *r, int status, const ag_http_header *headers,
                          size_t n_headers) {
    (void)headers;
    (void)n_headers;
    r->status = status;
}
ag_http_flow ag_http_stream_push(ag_http_req *r, ag_span bytes) {
    size_t n = strlen(r->answer);
    snprintf(r->answer + n, sizeof r->answer - n, "%.*s", AG_SPAN(bytes));
    return AG_HTTP_MORE;
}
void ag_http_stream_end(ag_http_req *r) { (void)r; }
void ag_http_stream_abort(ag_http_req *r) { (void)r; }

/* Everything that happens to a request whose answer comes at once. */
static inline void fake_exchange(const ag_http_handler *h, ag_http_req *r) {
    size_t limit = (size_t)32 << 20;
    free(r->answer_headers);
    r->answer_headers = NULL;
    r->status = 0;
    r->answer[0] = 0;
    if (h->on_head(h->ctx, r, &limit))
        h->on_request(h->ctx, r);
    h->on_end(h->ctx, r, &(ag_http_outcome){.status = r->status, .complete = true});
}

#endif
