/* Fault injection: make the nth allocation, read, mmap or write of the process fail.
 *
 * Tests arm it, run a scenario, and raise n until the scenario succeeds; after each failure there
 * must be no leak and no crash. Disarmed, it costs one relaxed load. Thread: any. */
#ifndef AG_BASE_FAULT_H
#define AG_BASE_FAULT_H

#include <stdbool.h>

typedef enum ag_fault {
    AG_FAULT_ALLOC,
    AG_FAULT_READ,
    AG_FAULT_MMAP,
    AG_FAULT_WRITE, /* a full disk */
    AG_FAULT_COUNT
} ag_fault;

/* The nth (1-based) call from now on of this kind fails, once; with `sticky` all later ones too.
 * n == 0 disarms. */
void ag_fault_arm(ag_fault kind, long n, bool sticky);
/* Did the armed fault happen since arming? */
bool ag_fault_fired(ag_fault kind);
/* Called by base/ at each point that can fail; true means: fail now. */
bool ag_fault_hit(ag_fault kind);

#endif
