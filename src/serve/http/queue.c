#include "http/queue.h"

#include <string.h>

void ag_http_queue_init(ag_http_queue *q, size_t low, size_t high, size_t cap) {
    *q = (ag_http_queue){.low = low, .high = high};
    ag_buf_init(&q->buf, AG_ROOM_HTTP, cap);
}

void ag_http_queue_deinit(ag_http_queue *q) {
    ag_buf_deinit(&q->buf);
    q->at = 0;
}

/* Move what waits to the front. */
static void compact(ag_http_queue *q) {
    memmove(q->buf.p, q->buf.p + q->at, ag_http_queue_bytes(q));
    q->buf.n -= q->at;
    q->at = 0;
}

bool ag_http_queue_push(ag_http_queue *q, ag_span bytes) {
    if (bytes.n == 0)
        return true;
    /* Up to twice the high mark only when at least half of the bytes were taken, so that each is
     * moved once on average; above it always, since memory of a slow reader counts more. */
    bool cheap = q->at >= ag_http_queue_bytes(q) || q->buf.room >= 2 * q->high;
    if (q->at > 0 && cheap && q->buf.n + bytes.n > q->buf.room)
        compact(q);
    if (!ag_buf_add(&q->buf, bytes.p, bytes.n))
        return false;
    if (ag_http_queue_bytes(q) > q->high)
        q->full = true;
    return true;
}

void ag_http_queue_adopt(ag_http_queue *q, ag_buf *body) {
    size_t cap = q->buf.cap;
    ag_buf_deinit(&q->buf);
    q->buf = *body;
    q->buf.cap = cap > body->n ? cap : body->n;
    q->at = 0;
    ag_buf_init(body, body->tag, body->cap);
}

size_t ag_http_queue_pop(ag_http_queue *q, char *out, size_t room, bool *drained) {
    size_t n = ag_http_queue_bytes(q);
    if (n > room)
        n = room;
    if (n > 0)
        memcpy(out, q->buf.p + q->at, n);
    q->at += n;
    if (q->at == q->buf.n) {
        q->at = 0;
        q->buf.n = 0;
        if (q->buf.room > 2 * q->high) /* a slow reader's heap is not kept for ever */
            ag_http_queue_deinit(q);
    }
    *drained = q->full && ag_http_queue_bytes(q) <= q->low;
    if (*drained)
        q->full = false;
    return n;
}
