#include "net/backoff.h"

#include <time.h>

#include "base/clock.h"

#define SLICE_MS 100u

void ag_net_backoff_init(ag_net_backoff *b, uint32_t first_ms, uint32_t most_ms, uint64_t seed) {
    *b = (ag_net_backoff){.first_ms = first_ms ? first_ms : 500,
                          .most_ms = most_ms ? most_ms : 30000};
    ag_rng_init(&b->rng, seed);
}

uint32_t ag_net_backoff_next(ag_net_backoff *b, uint32_t at_least_ms) {
    uint64_t span = (uint64_t)b->first_ms << (b->n < 20 ? b->n : 20);
    if (span > b->most_ms)
        span = b->most_ms;
    b->n++;
    uint32_t ms = (uint32_t)(ag_rng_f64(&b->rng) * ((double)span + 1.0));
    return ms < at_least_ms ? at_least_ms : ms;
}

bool ag_net_sleep(uint32_t ms, bool (*is_stopped)(void *ctx), void *ctx) {
    uint64_t end = ag_clock_us() + (uint64_t)ms * 1000u;
    for (;;) {
        uint64_t now = ag_clock_us();
        if (is_stopped && is_stopped(ctx))
            return false;
        if (now >= end)
            return true;
        uint64_t left_us = end - now;
        if (left_us > SLICE_MS * 1000u)
            left_us = SLICE_MS * 1000u;
        struct timespec t = {0, (long)left_us * 1000};
        nanosleep(&t, NULL); /* a signal ends it early, and the loop asks again */
    }
}
