/* What libmicrohttpd lets through and we do not: the request line's target, and header fields that
 * two parsers could read in two ways (RFC 9112, 3 to 7, 11.2). Pure functions.
 *
 * Of the head, libmicrohttpd hides two things: a line that ends in a bare LF (RFC 9112, 2.2 lets a
 * server take it), and what follows a NUL inside a value. */
#ifndef AG_HTTP_CHECK_H
#define AG_HTTP_CHECK_H

#include "base/arena.h"
#include "base/limits.h"
#include "base/span.h"

/* An answer's status and a sentence for people; status 0: fine. */
typedef struct ag_http_fault {
    int status;
    const char *reason; /* constant */
} ag_http_fault;

typedef struct ag_http_target {
    const char *path; /* decoded, starts with "/" */
    struct {
        const char *name, *value;
    } query[AG_MAX_QUERY_PARAMS];
    size_t n_query;
} ag_http_target;

/* Split and decode a request target in origin or absolute form into strings of `a`. 400 for broken
 * percent-encoding, encoded NUL, bytes that are not UTF-8 or not allowed; 414 for too many
 * parameters; 503 out of memory. */
ag_http_fault ag_http_target_parse(ag_http_target *t, ag_arena *a, ag_span raw);

/* State of a walk over the fields of one head. */
typedef struct ag_http_fields {
    bool http10;
    uint32_t n, max;
    uint32_t n_host, n_length, n_coding;
    uint64_t length; /* of Content-Length */
} ag_http_fields;

/* One field. 400, 417 (an expectation that is not known), 431, 501 (a coding other than chunked).
 */
ag_http_fault ag_http_fields_add(ag_http_fields *f, ag_span name, ag_span value);
/* After the last: what only shows in all of them together. */
ag_http_fault ag_http_fields_end(const ag_http_fields *f);

/* RFC 9110, 5.6.2: a method or a field's name. */
bool ag_http_is_token(ag_span s);

#endif
