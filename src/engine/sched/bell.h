/* What wakes the engine thread. It is counted, because whoever holds a request may ring for it
 * after the engine is closed. Any thread. */
#ifndef AG_SCHED_BELL_H
#define AG_SCHED_BELL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

typedef struct ag_bell ag_bell;

/* With one reference. AG_E_NOMEM. */
ag_code ag_bell_new(ag_bell **out, ag_err *err) AG_MUST_USE;
ag_bell *ag_bell_ref(ag_bell *b);
/* Accepts NULL. */
void ag_bell_unref(ag_bell *b);
void ag_bell_ring(ag_bell *b);
/* Block until it was rung since the last call, or until the clock (µs) is at `until`; 0: only look.
 * True: it was rung. */
bool ag_bell_wait(ag_bell *b, uint64_t until);

#endif
