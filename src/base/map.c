#include "base/map.h"

#include "base/hash.h"
#include "base/random.h"

static ag_map_slot *probe(ag_map_slot *slots, size_t n_slots, ag_span key, uint64_t hash) {
    size_t i = hash & (n_slots - 1);
    while (slots[i].key.p && !(slots[i].hash == hash && ag_span_eq(slots[i].key, key)))
        i = (i + 1) & (n_slots - 1);
    return &slots[i];
}

static ag_code grow(ag_map *m, size_t n_slots, ag_err *err) {
    ag_map_slot *slots = ag_calloc(m->tag, n_slots, sizeof *slots);
    if (!slots)
        return ag_fail(err, AG_E_NOMEM, "out of memory for a table of %zu entries", n_slots);
    for (size_t i = 0; i < m->n_slots; i++)
        if (m->slots[i].key.p)
            *probe(slots, n_slots, m->slots[i].key, m->slots[i].hash) = m->slots[i];
    ag_free(m->slots);
    m->slots = slots;
    m->n_slots = n_slots;
    return AG_OK;
}

ag_code ag_map_init(ag_map *m, ag_room tag, size_t expected, ag_err *err) {
    *m = (ag_map){.tag = tag, .seed = ag_random_seed()};
    size_t n_slots = 16;
    while (n_slots / 2 < expected && n_slots < SIZE_MAX / 4)
        n_slots *= 2;
    return grow(m, n_slots, err);
}

void ag_map_deinit(ag_map *m) {
    ag_free(m->slots);
    *m = (ag_map){0};
}

ag_code ag_map_add(ag_map *m, ag_span key, uint64_t value, bool *fresh, ag_err *err) {
    if (!key.p)
        key.p = "";
    if (m->n >= m->n_slots / 2) {
        ag_code code = grow(m, m->n_slots * 2, err);
        if (code)
            return code;
    }
    uint64_t hash = ag_hash64(key.p, key.n, m->seed);
    ag_map_slot *s = probe(m->slots, m->n_slots, key, hash);
    if (fresh)
        *fresh = !s->key.p;
    if (!s->key.p) {
        *s = (ag_map_slot){key, hash, value};
        m->n++;
    }
    return AG_OK;
}

bool ag_map_find(const ag_map *m, ag_span key, uint64_t *value) {
    if (!m->n)
        return false;
    if (!key.p)
        key.p = "";
    ag_map_slot *s = probe(m->slots, m->n_slots, key, ag_hash64(key.p, key.n, m->seed));
    if (!s->key.p)
        return false;
    *value = s->value;
    return true;
}
