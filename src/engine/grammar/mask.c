#include "grammar/mask.h"

#include "base/limits.h"

/* ---- the store --------------------------------------------------------------------------------
 */

static uint32_t slot_of(const ag_masks *s, uint32_t state) {
    return (state * 0x9E3779B1u >> 8) & (s->n_slots - 1);
}

static void unlink_use(ag_masks *s, uint32_t i) {
    ag_mask *m = &s->v[i];
    *(m->newer ? &s->v[m->newer - 1].older : &s->newest) = m->older;
    *(m->older ? &s->v[m->older - 1].newer : &s->oldest) = m->newer;
    m->newer = m->older = 0;
}

static void link_newest(ag_masks *s, uint32_t i) {
    s->v[i].older = s->newest;
    s->v[i].newer = 0;
    *(s->newest ? &s->v[s->newest - 1].newer : &s->oldest) = i + 1;
    s->newest = i + 1;
}

static void drop(ag_masks *s, uint32_t i) {
    uint32_t *at = &s->slots[slot_of(s, s->v[i].state)];
    while (*at != i + 1)
        at = &s->v[*at - 1].chain;
    *at = s->v[i].chain;
    unlink_use(s, i);
    s->bytes -= s->v[i].bytes;
    ag_free(s->v[i].exits);
    ag_free(s->v[i].ids);
    ag_free(s->v[i].bits);
    s->v[i] = (ag_mask){.chain = s->free};
    s->free = i + 1;
    s->n_used--;
}

static ag_mask *find(ag_masks *s, uint32_t state) {
    for (uint32_t at = s->slots[slot_of(s, state)]; at; at = s->v[at - 1].chain)
        if (s->v[at - 1].state == state) {
            unlink_use(s, at - 1);
            link_newest(s, at - 1);
            return &s->v[at - 1];
        }
    return NULL;
}

static bool rehash(ag_masks *s) {
    uint32_t n = s->n_slots * 2;
    uint32_t *slots = ag_calloc(AG_ROOM_GRAMMAR, n, sizeof *slots);
    if (!slots)
        return false;
    ag_free(s->slots);
    s->slots = slots;
    s->n_slots = n;
    for (uint32_t at = s->oldest; at; at = s->v[at - 1].newer) {
        uint32_t slot = slot_of(s, s->v[at - 1].state);
        s->v[at - 1].chain = slots[slot];
        slots[slot] = at;
    }
    return true;
}

/* A place for another mask, unlinked; NULL out of memory. */
static ag_mask *new_mask(ag_masks *s) {
    if (s->n_used >= s->n_slots && !rehash(s))
        return NULL;
    if (!s->free) {
        if (s->n == s->room) {
            uint32_t room = s->room * 2 + 16;
            ag_mask *v = ag_realloc(AG_ROOM_GRAMMAR, s->v, room, sizeof *v);
            if (!v)
                return NULL;
            s->v = v;
            s->room = room;
        }
        s->v[s->n++] = (ag_mask){0};
        s->free = s->n;
    }
    uint32_t i = s->free - 1;
    s->free = s->v[i].chain;
    s->v[i].chain = 0;
    return &s->v[i];
}

static uint32_t count_bits(const uint64_t *bits, uint32_t n_words) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_words; i++)
        n += (uint32_t)__builtin_popcountll(bits[i]);
    return n;
}

/* Copy bits (as a list where that is smaller) and exits into m; false out of memory. */
static bool fill(ag_mask *m, const uint64_t *bits, uint32_t n_words, const uint32_t *exits,
                 uint32_t n_exits) {
    m->n_ids = count_bits(bits, n_words);
    bool few = m->n_ids < n_words;
    m->bytes = sizeof *m + n_exits * sizeof *exits +
               (few ? m->n_ids * sizeof *m->ids : n_words * sizeof *bits);
    m->exits = n_exits ? ag_alloc(AG_ROOM_GRAMMAR, n_exits * sizeof *exits) : NULL;
    if (few)
        m->ids = ag_alloc(AG_ROOM_GRAMMAR, m->n_ids * sizeof *m->ids);
    else
        m->bits = ag_alloc(AG_ROOM_GRAMMAR, n_words * sizeof *bits);
    if ((n_exits && !m->exits) || (few ? !m->ids : !m->bits))
        return false;
    m->n_exits = n_exits;
    if (n_exits)
        memcpy(m->exits, exits, n_exits * sizeof *exits);
    if (!few)
        memcpy(m->bits, bits, n_words * sizeof *bits);
    for (uint32_t i = 0, n = 0; few && i < n_words; i++)
        for (uint64_t w = bits[i]; w; w &= w - 1)
            m->ids[n++] = (int32_t)(i * 64 + (uint32_t)__builtin_ctzll(w));
    return true;
}

/* Keep the mask; without memory for it nothing is kept, and it is computed again next time. */
static ag_mask *keep(ag_masks *s, uint32_t state, const uint64_t *bits, const uint32_t *exits,
                     uint32_t n_exits, bool has_exits) {
    ag_mask *old = find(s, state); /* one without exits */
    if (old)
        drop(s, (uint32_t)(old - s->v));
    ag_mask *m = new_mask(s);
    if (!m)
        return NULL;
    uint32_t i = (uint32_t)(m - s->v);
    bool ok = fill(m, bits, s->vocab->n_words, exits, n_exits);
    m->state = state;
    m->has_exits = has_exits;
    m->chain = s->slots[slot_of(s, state)];
    s->slots[slot_of(s, state)] = i + 1;
    s->bytes += m->bytes;
    s->n_used++;
    link_newest(s, i);
    while (s->bytes > s->max_bytes && s->oldest && s->oldest != i + 1)
        drop(s, s->oldest - 1);
    if (ok)
        return m;
    drop(s, i);
    return NULL;
}

static void add_bits(const ag_masks *s, const ag_mask *m, uint64_t *out) {
    for (uint32_t i = 0; m->bits && i < s->vocab->n_words; i++)
        out[i] |= m->bits[i];
    for (uint32_t i = 0; m->ids && i < m->n_ids; i++)
        out[m->ids[i] >> 6] |= 1ull << (m->ids[i] & 63);
}

/* ---- walking ----------------------------------------------------------------------------------
 */

static void add_token(const ag_gvocab *v, int32_t id, uint64_t *out) {
    for (; id >= 0; id = v->same[id])
        out[id >> 6] |= 1ull << (id & 63);
}

static bool note_exit(ag_masks *s, uint32_t node) {
    if (s->vocab->after[node] == node + 1) /* nothing follows there */
        return true;
    if (s->n_exits == s->exit_room) {
        uint32_t room = s->exit_room * 2 + 256;
        uint32_t *p = ag_realloc(AG_ROOM_GRAMMAR, s->exits, room, sizeof *p);
        if (!p) {
            s->machine->stopped = AG_E_NOMEM;
            return false;
        }
        s->exits = p;
        s->exit_room = room;
    }
    s->exits[s->n_exits++] = node;
    return true;
}

/* Nodes [at, end), which lie below `depth` bytes already read on the way to `state`. */
static void walk(ag_masks *s, uint32_t state, uint32_t at, uint32_t end, uint32_t depth,
                 uint64_t *out, bool with_exits) {
    const ag_gvocab *v = s->vocab;
    ag_machine *m = s->machine;
    s->path[depth] = state;
    while (at < end && ag_machine_work(m, 1)) { /* steps seen before take time as well */
        uint32_t to = ag_machine_step(m, s->path[v->depth[at] - 1], v->byte[at]);
        if (to == AG_STATE_DEAD) {
            at = v->after[at];
            continue;
        }
        if (v->token[at] >= 0)
            add_token(v, v->token[at], out);
        if (with_exits && m->states.v[to].accepts && !note_exit(s, at))
            return;
        s->path[v->depth[at]] = to;
        at++;
    }
}

/* ---- does any text of plain characters fit? ----------------------------------------------------
 */

#define MAX_PLAIN_STATES 256u

/* Where UTF-8 stands: 0 between characters; 1 to 3 so many continuation bytes to come, any; 4 to 7
 * the second bytes that are restricted (after E0, ED, F0, F4). */
static unsigned utf8_after(unsigned at, uint8_t c) {
    static const uint8_t least[] = {0, 0x80, 0x80, 0x80, 0xA0, 0x80, 0x90, 0x80};
    static const uint8_t most[] = {0, 0xBF, 0xBF, 0xBF, 0xBF, 0x9F, 0xBF, 0x8F};
    static const uint8_t then[] = {0, 0, 1, 2, 1, 1, 2, 2};
    if (at)
        return c >= least[at] && c <= most[at] ? then[at] : 8;
    if (c < 0x80)
        return c >= 0x20 && c != '"' && c != '\\' ? 0 : 8;
    return c < 0xC2    ? 8
           : c < 0xE0  ? 1
           : c == 0xE0 ? 4
           : c == 0xED ? 5
           : c < 0xF0  ? 2
           : c == 0xF0 ? 6
           : c < 0xF4  ? 3
           : c == 0xF4 ? 7
                       : 8;
}

typedef struct plain {
    uint32_t state[MAX_PLAIN_STATES];
    uint8_t utf8[MAX_PLAIN_STATES], chars[MAX_PLAIN_STATES]; /* chars: still to be read */
    uint32_t n;
} plain;

/* Note that `chars` more must fit from here; false when there are too many places. */
static bool note_plain(plain *p, uint32_t state, unsigned utf8, unsigned chars, bool *again) {
    for (uint32_t i = 0; i < p->n; i++)
        if (p->state[i] == state && p->utf8[i] == utf8) {
            if (p->chars[i] < chars) {
                p->chars[i] = (uint8_t)chars;
                *again = true;
            }
            return true;
        }
    if (p->n == MAX_PLAIN_STATES)
        return false;
    p->state[p->n] = state;
    p->utf8[p->n] = (uint8_t)utf8;
    p->chars[p->n++] = (uint8_t)chars;
    return true;
}

/* From place i every byte that UTF-8 and plainness allow must lead on. */
static bool plain_goes_on(ag_masks *s, plain *p, uint32_t i, bool with_exits, bool *again) {
    for (unsigned c = 0x20; c < 0xF5; c++) {
        unsigned utf8 = utf8_after(p->utf8[i], (uint8_t)c);
        if (utf8 == 8)
            continue;
        uint32_t to = ag_machine_step(s->machine, p->state[i], (uint8_t)c);
        if (to == AG_STATE_DEAD || (with_exits && s->machine->states.v[to].accepts))
            return false;
        unsigned chars = p->utf8[i] == 0 ? p->chars[i] - 1u : p->chars[i];
        if ((utf8 || chars) && !note_plain(p, to, utf8, chars, again))
            return false;
    }
    return true;
}

/* Do all texts of up to `chars` plain characters fit, none of them leaving when exits matter? */
static bool all_plain_fit(ag_masks *s, uint32_t state, uint32_t chars, bool with_exits) {
    plain p = {.n = 0};
    bool again = false;
    note_plain(&p, state, 0, chars, &again);
    do {
        again = false;
        for (uint32_t i = 0; i < p.n; i++)
            if ((p.utf8[i] || p.chars[i]) && !plain_goes_on(s, &p, i, with_exits, &again))
                return false;
    } while (again);
    return true;
}

/* ---- computing --------------------------------------------------------------------------------
 */

/* Tokens that the grammar asks for by their number. */
static void add_asked(const ag_masks *s, uint32_t state, uint64_t *out) {
    const ag_machine *m = s->machine;
    for (uint32_t i = 0; m->nfa->has_tokens && i < m->states.v[state].n; i++) {
        const ag_node *n = &m->nfa->nodes[AG_POS_NODE(ag_state_items(m, state)[i].place)];
        if (n->kind == AG_NODE_TOKEN && n->at < (uint32_t)s->vocab->n_tokens)
            out[n->at >> 6] |= 1ull << (n->at & 63);
    }
}

/* A state whose items are all on the empty stack: walk the tries. */
static void compute_alone(ag_masks *s, uint32_t state, uint64_t *out, bool with_exits) {
    const ag_gvocab *v = s->vocab;
    s->n_exits = 0;
    add_asked(s, state, out);
    if (!s->machine->states.v[state].has_bytes)
        return;
    for (int t = 0; t < AG_VOCAB_TRIES && !s->machine->stopped; t++) {
        const ag_trie *trie = &v->tries[t];
        if (trie->first == trie->end)
            continue;
        if (trie->max_chars && all_plain_fit(s, state, trie->max_chars, with_exits))
            for (uint32_t i = 0; i < v->n_words; i++)
                out[i] |= trie->all[i];
        else
            walk(s, state, trie->first, trie->end, 0, out, with_exits);
    }
}

/* The mask of items alone with its exits. NULL: stopped, or no memory to keep it. */
static ag_mask *get_alone(ag_masks *s, uint32_t state) {
    ag_mask *m = find(s, state);
    if (m && m->has_exits)
        return m;
    memset(s->bits, 0, s->vocab->n_words * sizeof *s->bits);
    compute_alone(s, state, s->bits, true);
    if (s->machine->stopped)
        return NULL;
    m = keep(s, state, s->bits, s->exits, s->n_exits, true);
    if (!m)
        s->machine->stopped = AG_E_NOMEM;
    return m;
}

/* Items [from, to) of a state, which share a stack: their mask alone, then on from its exits. */
static void add_group(ag_masks *s, uint32_t state, uint32_t from, uint32_t to, uint64_t *out) {
    const ag_gvocab *v = s->vocab;
    ag_machine *m = s->machine;
    uint32_t stack = ag_state_items(m, state)[from].stack;
    uint32_t alone = ag_machine_like(m, ag_machine_alone(m, state, from, to));
    ag_mask *mask = m->stopped ? NULL : get_alone(s, alone);
    if (!mask)
        return;
    add_bits(s, mask, out);
    uint32_t below = stack && mask->n_exits ? ag_machine_open(m, stack) : AG_STATE_DEAD;
    for (uint32_t i = 0; below != AG_STATE_DEAD && i < mask->n_exits && !m->stopped; i++)
        walk(s, below, mask->exits[i] + 1, v->after[mask->exits[i]], v->depth[mask->exits[i]], out,
             false);
}

static void compute(ag_masks *s, uint32_t state, uint64_t *out) {
    ag_machine *m = s->machine;
    uint32_t n = m->states.v[state].n;
    bool alone = n == 0 || ag_state_items(m, state)[n - 1].stack == 0;
    if (alone) {
        compute_alone(s, state, out, false);
        return;
    }
    for (uint32_t from = 0, to; from < n && !m->stopped; from = to) {
        uint32_t stack = ag_state_items(m, state)[from].stack;
        for (to = from + 1; to < n && ag_state_items(m, state)[to].stack == stack;)
            to++;
        add_group(s, state, from, to, out);
    }
}

ag_code ag_masks_get(ag_masks *s, uint32_t state, uint64_t *out, ag_err *err) {
    memset(out, 0, s->vocab->n_words * sizeof *out);
    state = ag_machine_like(s->machine, state);
    ag_mask *m = s->machine->stopped ? NULL : find(s, state);
    if (m) {
        add_bits(s, m, out);
        return AG_OK;
    }
    if (!s->machine->stopped)
        compute(s, state, out);
    if (s->machine->stopped)
        return ag_machine_error(s->machine, err);
    keep(s, state, out, NULL, 0, false);
    return AG_OK;
}

/* ---- life -------------------------------------------------------------------------------------
 */

ag_code ag_masks_init(ag_masks *s, const ag_gvocab *vocab, ag_machine *machine, size_t max_bytes,
                      ag_err *err) {
    *s = (ag_masks){.vocab = vocab, .machine = machine, .max_bytes = max_bytes, .n_slots = 64};
    s->slots = ag_calloc(AG_ROOM_GRAMMAR, s->n_slots, sizeof *s->slots);
    s->bits = ag_calloc(AG_ROOM_GRAMMAR, vocab->n_words, sizeof *s->bits);
    if (s->slots && s->bits)
        return AG_OK;
    ag_masks_deinit(s);
    return ag_fail(err, AG_E_NOMEM, "out of memory for the masks of a grammar");
}

void ag_masks_deinit(ag_masks *s) {
    while (s->oldest)
        drop(s, s->oldest - 1);
    ag_free(s->v);
    ag_free(s->slots);
    ag_free(s->bits);
    ag_free(s->exits);
    *s = (ag_masks){0};
}
