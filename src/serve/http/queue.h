/* Bytes on their way out: producers append, the io thread takes from the front. It says when it is
 * over its high mark, and once when it has fallen to its low mark again.
 *
 * Thread: guarded by its owner's mutex. */
#ifndef AG_HTTP_QUEUE_H
#define AG_HTTP_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

typedef struct ag_http_queue {
    ag_buf buf; /* bytes [at, buf.n) wait */
    size_t at;
    size_t low, high; /* marks */
    bool full;        /* passed high and has not fallen to low since */
} ag_http_queue;

void ag_http_queue_init(ag_http_queue *q, size_t low, size_t high, size_t cap);
void ag_http_queue_deinit(ag_http_queue *q);
static inline size_t ag_http_queue_bytes(const ag_http_queue *q) { return q->buf.n - q->at; }
/* Append. False past the cap or out of memory: the queue is unchanged. */
bool ag_http_queue_push(ag_http_queue *q, ag_span bytes);
/* Become the bytes of `body`, which is empty afterwards. The queue must be empty. */
void ag_http_queue_adopt(ag_http_queue *q, ag_buf *body);
/* Move up to `room` bytes to `out`; returns how many. *drained: this call ended a full spell. */
size_t ag_http_queue_pop(ag_http_queue *q, char *out, size_t room, bool *drained);

#endif
