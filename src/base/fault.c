#include "base/fault.h"

#include <stdatomic.h>

typedef struct trap {
    _Atomic long left; /* calls until the failure; 0 = disarmed */
    _Atomic bool sticky;
    _Atomic bool fired;
} trap;

static trap traps[AG_FAULT_COUNT];

void ag_fault_arm(ag_fault kind, long n, bool sticky) {
    trap *t = &traps[kind];
    atomic_store(&t->fired, false);
    atomic_store(&t->sticky, sticky);
    atomic_store(&t->left, n);
}

bool ag_fault_fired(ag_fault kind) { return atomic_load(&traps[kind].fired); }

bool ag_fault_hit(ag_fault kind) {
    trap *t = &traps[kind];
    if (atomic_load_explicit(&t->left, memory_order_relaxed) == 0)
        return false;
    long before = atomic_fetch_sub(&t->left, 1);
    if (before > 1)
        return false;
    if (before == 1)
        atomic_store(&t->fired, true);
    if (atomic_load(&t->sticky)) {
        atomic_store(&t->left, 1);
        return true;
    }
    if (before < 1) { /* lost a race after the one failure */
        atomic_store(&t->left, 0);
        return false;
    }
    return true;
}
