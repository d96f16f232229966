/* The door to the line: how much may wait, and how long until there is room. Callers hold the lock
 * of whoever owns it. */
#ifndef AG_SCHED_GATE_H
#define AG_SCHED_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* How fast the line empties: sums over the last half minute or so of work. */
typedef struct ag_drain {
    double tokens, requests, us;
} ag_drain;

/* So much was done in so long. */
void ag_drain_note(ag_drain *d, double tokens, double requests, double us);
/* 0: not known. */
static inline double ag_drain_per_s(const ag_drain *d, double what) {
    return d->us > 0 ? what / d->us * 1e6 : 0;
}

/* What one tenant has in line. */
typedef struct ag_share {
    uint64_t tenant, requests, tokens;
} ag_share;

typedef struct ag_gate {
    uint64_t max_requests, max_tokens;
    uint64_t requests, tokens; /* that wait; of their prompts; the owner takes them off */
    uint64_t places;           /* free for who waits, when last seen */
    ag_share *shares;          /* owned [room]: of tenants with a name, in no order */
    size_t n_shares, room;     /* without room there is no limit to a tenant's share */
    bool has_tenants;          /* one with a name has come */
    uint64_t entered, refused_requests, refused_tokens, refused_late, refused_share;
    ag_drain drain;
} ag_gate;

/* Room for this many tenants in line. AG_E_NOMEM. */
ag_code ag_gate_init(ag_gate *g, size_t room, ag_err *err) AG_MUST_USE;
void ag_gate_deinit(ag_gate *g);
/* May a request of this tenant (0: nobody in particular) come in, with a prompt of about so many
 * tokens (0: not known) and willing to wait so long (0: for ever)? AG_E_AGAIN: the line is full, or
 * much longer than that; AG_E_SHARE: this tenant holds its part of it. The message says so, and
 * when to come back; it counts as refused. */
ag_code ag_gate_ask(ag_gate *g, uint64_t tenant, int tokens, uint64_t patience_us,
                    ag_err *err) AG_MUST_USE;
/* The same, and if it may it is in line. */
ag_code ag_gate_enter(ag_gate *g, uint64_t tenant, int tokens, uint64_t patience_us,
                      ag_err *err) AG_MUST_USE;
/* The owner counts anew who is in line: first this, then each that waits. */
void ag_gate_recount(ag_gate *g);
void ag_gate_count(ag_gate *g, uint64_t tenant, uint64_t tokens);
/* Seconds until a quarter of the line is free; 0: it is not full. */
double ag_gate_retry_s(const ag_gate *g);
/* Seconds that a request which comes now will wait, when all places are taken. */
double ag_gate_wait_s(const ag_gate *g);

#endif
