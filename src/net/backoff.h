/* How long to wait before trying again: exponential with full jitter, so that many clients of one
 * server do not come back together, and never less than the server asked for.
 * Thread: one at a time. */
#ifndef AG_NET_BACKOFF_H
#define AG_NET_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"

typedef struct ag_net_backoff {
    ag_rng rng;
    uint32_t first_ms, most_ms; /* bounds of the span that a wait is drawn from */
    uint32_t n;                 /* waits since the start or the last reset */
} ag_net_backoff;

/* first_ms 0: 500 ms; most_ms 0: 30 s. */
void ag_net_backoff_init(ag_net_backoff *b, uint32_t first_ms, uint32_t most_ms, uint64_t seed);
/* Something worked: waits are short again. */
static inline void ag_net_backoff_reset(ag_net_backoff *b) { b->n = 0; }
/* Milliseconds of the next wait: uniform in [0, first * 2^n], at least `at_least_ms`. */
uint32_t ag_net_backoff_next(ag_net_backoff *b, uint32_t at_least_ms);
/* Sleep; is_stopped (may be NULL) is asked every 100 ms and after signals. False when it said so.
 */
bool ag_net_sleep(uint32_t ms, bool (*is_stopped)(void *ctx), void *ctx);

#endif
