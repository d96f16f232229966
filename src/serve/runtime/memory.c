#include "runtime/memory.h"

static uint64_t least(const ag_memory_model *m) { return m->fixed_bytes + m->least_kv_bytes; }

static uint64_t minus(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

/* Rules 2 and 3: of what is free, the KV cache beyond the least. */
static uint64_t limit_of(const ag_memory_model *m, size_t n, size_t which, uint64_t available) {
    uint64_t others = 0, largest = 0, sharers = 1;
    if (m[which].usual_kv_bytes == m[which].least_kv_bytes) /* as it was asked for */
        return least(&m[which]);
    for (size_t i = 0; i < n; i++) {
        if (i == which || m[i].held_bytes > 0)
            continue;
        if (m[i].at_start) {
            others += least(&m[i]);
            sharers += m[i].usual_kv_bytes > m[i].least_kv_bytes;
        } else if (least(&m[i]) > largest) {
            largest = least(&m[i]);
        }
    }
    uint64_t rest = minus(available, least(&m[which]) + others);
    if (!m[which].may_unload)
        rest = minus(rest, largest);
    uint64_t more = m[which].usual_kv_bytes - m[which].least_kv_bytes;
    return least(&m[which]) + (rest / sharers < more ? rest / sharers : more);
}

ag_memory_answer ag_memory_ask(const ag_memory_model *m, size_t n, size_t which, uint64_t budget) {
    uint64_t held = 0, idle = 0, can_go = 0;
    size_t victim = n;
    for (size_t i = 0; i < n; i++) {
        held += m[i].held_bytes;
        if (i == which || m[i].held_bytes == 0 || !m[i].may_unload)
            continue;
        can_go += m[i].held_bytes;
        if (!m[i].is_idle)
            continue;
        idle += m[i].held_bytes;
        if (victim == n || m[i].used_at < m[victim].used_at)
            victim = i;
    }
    uint64_t available = minus(budget, held), needed = least(&m[which]);
    ag_memory_answer a = {.free_bytes = available, .victim = victim};
    if (needed <= available) {
        a.verdict = AG_MEMORY_FITS;
        a.limit_bytes = needed > 0 ? limit_of(m, n, which, available) : available;
    } else if (needed <= available + idle) {
        a.verdict = AG_MEMORY_EVICT;
    } else {
        a.verdict = needed <= available + can_go ? AG_MEMORY_WAIT : AG_MEMORY_NEVER;
    }
    return a;
}
