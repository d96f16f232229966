#include "grammar/atom.h"

#include <stdlib.h>

#include "base/hash.h"

void ag_atom_free(ag_atom *a) {
    if (!a)
        return;
    ag_free(a->flags);
    ag_free(a->next);
    ag_free(a);
}

bool ag_atom_eq(const ag_atom *a, const ag_atom *b) {
    return a->n_states == b->n_states && a->n_classes == b->n_classes &&
           memcmp(a->class_of, b->class_of, sizeof a->class_of) == 0 &&
           memcmp(a->flags, b->flags, a->n_states) == 0 &&
           memcmp(a->next, b->next, sizeof *a->next * a->n_states * a->n_classes) == 0;
}

bool ag_atom_matches(const ag_atom *a, ag_span text) {
    uint32_t state = a->n_states ? 0 : AG_ATOM_NONE;
    for (size_t i = 0; i < text.n && state != AG_ATOM_NONE; i++)
        state = ag_atom_step(a, state, (uint8_t)text.p[i]);
    return state != AG_ATOM_NONE && (a->flags[state] & AG_ATOM_ACCEPTS);
}

/* ---- drawing --------------------------------------------------------------------------------- */

void ag_drawing_deinit(ag_drawing *d) {
    ag_free(d->next);
    ag_free(d->accepts);
    *d = (ag_drawing){0};
}

uint32_t ag_drawing_state(ag_drawing *d, bool accepts) {
    if (!d->failed && d->n == d->room) {
        uint32_t room = d->room ? d->room * 2 : 16;
        void *next = NULL, *flags = NULL;
        if (room <= AG_ATOM_STATES) {
            next = ag_realloc(AG_ROOM_GRAMMAR, d->next, room, sizeof *d->next);
            d->next = next ? next : d->next;
            flags = ag_realloc(AG_ROOM_GRAMMAR, d->accepts, room, 1);
            d->accepts = flags ? flags : d->accepts;
        }
        if (!next || !flags)
            d->failed = room <= AG_ATOM_STATES ? AG_E_NOMEM : AG_E_GRAMMAR;
        d->room = d->failed ? d->room : room;
    }
    if (d->failed)
        return 0;
    memset(d->next[d->n], 0xff, sizeof *d->next);
    d->accepts[d->n] = accepts;
    return d->n++;
}

void ag_drawing_edge(ag_drawing *d, uint32_t from, uint8_t lo, uint8_t hi, uint32_t to) {
    if (d->failed)
        return;
    for (unsigned c = lo; c <= hi; c++)
        d->next[from][c] = (uint16_t)to;
}

/* ---- finishing ------------------------------------------------------------------------------- */

enum { FROM_START = 1, USEFUL = 2 };

/* Ways between states, each run of bytes that go the same way once. */
typedef struct ways {
    uint32_t *v;    /* owned [n]: from << 16 | to */
    uint32_t *at;   /* owned [states + 2]: those to s come from back[at[s] .. at[s + 1]) */
    uint16_t *back; /* owned [n] */
    uint32_t n;
} ways;

/* Mark what the start leads to, and note the ways there. */
static void spread_forwards(const ag_drawing *d, uint8_t *keep, uint32_t *list, ways *w) {
    uint32_t n = 1;
    keep[0] = FROM_START;
    list[0] = 0;
    while (n > 0) {
        uint32_t s = list[--n], last = AG_ATOM_NONE;
        for (unsigned c = 0; c < 256; c++) {
            uint32_t t = d->next[s][c];
            if (t == last || t == AG_ATOM_NONE) {
                last = t;
                continue;
            }
            last = t;
            w->v[w->n++] = s << 16 | t;
            w->at[t + 2]++;
            if (!keep[t]) {
                keep[t] = FROM_START;
                list[n++] = t;
            }
        }
    }
}

static void turn_around(ways *w, uint32_t n_states) {
    for (uint32_t s = 2; s < n_states + 2; s++)
        w->at[s] += w->at[s - 1];
    for (uint32_t i = 0; i < w->n; i++)
        w->back[w->at[(w->v[i] & 0xffff) + 1]++] = (uint16_t)(w->v[i] >> 16);
}

/* Of what the start leads to, mark that from where some text ends. */
static void spread_backwards(const ag_drawing *d, uint8_t *keep, uint32_t *list, const ways *w) {
    uint32_t n = 0;
    for (uint32_t s = 0; s < d->n; s++)
        if (keep[s] && d->accepts[s]) {
            keep[s] = USEFUL;
            list[n++] = s;
        }
    while (n > 0) {
        uint32_t s = list[--n];
        for (uint32_t i = w->at[s]; i < w->at[s + 1]; i++)
            if (keep[w->back[i]] != USEFUL) {
                keep[w->back[i]] = USEFUL;
                list[n++] = w->back[i];
            }
    }
}

/* keep[s] == USEFUL: some text comes to s, and from s some text ends. Rows lose their ways to other
 * states. False out of memory. */
static bool mark_useful(ag_drawing *d, uint8_t *keep) {
    ways w = {.v = ag_alloc(AG_ROOM_GRAMMAR, (size_t)d->n * 256 * sizeof *w.v),
              .at = ag_calloc(AG_ROOM_GRAMMAR, d->n + 2, sizeof *w.at)};
    uint32_t *list = ag_calloc(AG_ROOM_GRAMMAR, d->n + 1, sizeof *list), n_useful = 0;
    bool ok = w.v && w.at && list;
    if (ok) {
        spread_forwards(d, keep, list, &w);
        w.back = ag_alloc(AG_ROOM_GRAMMAR, w.n * sizeof *w.back);
        ok = w.back != NULL;
    }
    if (ok) {
        turn_around(&w, d->n);
        spread_backwards(d, keep, list, &w);
    }
    for (uint32_t s = 0; s < d->n; s++)
        n_useful += keep[s] == USEFUL;
    for (uint32_t s = 0; s < d->n && n_useful < d->n; s++)
        for (unsigned c = 0; c < 256; c++)
            if (d->next[s][c] != AG_ATOM_NONE && keep[d->next[s][c]] != USEFUL)
                d->next[s][c] = AG_ATOM_NONE;
    ag_free(w.v);
    ag_free(w.at);
    ag_free(w.back);
    ag_free(list);
    return ok;
}

/* Bytes that lead the same way in every kept state share a class; ways are compared by their hash.
 */
static uint32_t classify(const ag_drawing *d, const uint8_t *keep, uint8_t class_of[256],
                         uint8_t first[256]) {
    uint64_t hash[256] = {0};
    uint32_t n = 0;
    for (uint32_t s = 0; s < d->n; s++)
        for (unsigned c = 0; c < 256 && keep[s] == USEFUL; c++)
            hash[c] = ag_mix64(hash[c] ^ d->next[s][c], 0x9E3779B97F4A7C15ull) + s;
    for (unsigned c = 0; c < 256; c++) {
        uint32_t k = 0;
        while (k < n && hash[first[k]] != hash[c])
            k++;
        if (k == n)
            first[n++] = (uint8_t)c;
        class_of[c] = (uint8_t)k;
    }
    return n;
}

static bool pack(ag_drawing *d, const uint8_t *keep, ag_atom *a) {
    uint8_t first[256];
    uint16_t *number = ag_calloc(AG_ROOM_GRAMMAR, d->n, sizeof *number);
    uint32_t n = 0, n_classes = classify(d, keep, a->class_of, first);
    for (uint32_t s = 0; number && s < d->n; s++)
        if (keep[s] == USEFUL)
            number[s] = (uint16_t)n++;
    a->n_states = (uint16_t)n;
    a->n_classes = (uint16_t)n_classes;
    a->flags = ag_calloc(AG_ROOM_GRAMMAR, n, 1);
    a->next = ag_calloc(AG_ROOM_GRAMMAR, (size_t)n * n_classes, sizeof *a->next);
    if (!number || !a->flags || !a->next) {
        ag_free(number);
        return false;
    }
    for (uint32_t s = 0; s < d->n; s++) {
        if (keep[s] != USEFUL)
            continue;
        uint32_t at = number[s];
        a->flags[at] = d->accepts[s] ? AG_ATOM_ACCEPTS : 0;
        for (uint32_t k = 0; k < n_classes; k++) {
            uint32_t t = d->next[s][first[k]];
            a->next[at * n_classes + k] = t == AG_ATOM_NONE ? (uint16_t)AG_ATOM_NONE : number[t];
            a->flags[at] |= t == AG_ATOM_NONE ? 0 : AG_ATOM_GOES_ON;
        }
    }
    ag_free(number);
    return true;
}

ag_code ag_drawing_finish(ag_drawing *d, ag_atom **out, ag_err *err) {
    *out = NULL;
    if (d->failed) {
        bool no_memory = d->failed == AG_E_NOMEM;
        ag_drawing_deinit(d);
        return no_memory ? ag_fail(err, AG_E_NOMEM, "out of memory for an automaton")
                         : ag_fail(err, AG_E_GRAMMAR,
                                   "an automaton of more than %u states is needed", AG_ATOM_STATES);
    }
    ag_atom *a = ag_calloc(AG_ROOM_GRAMMAR, 1, sizeof *a);
    uint8_t *keep = ag_calloc(AG_ROOM_GRAMMAR, d->n + 1, 1);
    bool ok = a && keep;
    if (ok && d->n > 0)
        ok = mark_useful(d, keep) && (keep[0] != USEFUL || pack(d, keep, a));
    ag_free(keep);
    ag_drawing_deinit(d);
    if (!ok) {
        ag_atom_free(a);
        return ag_fail(err, AG_E_NOMEM, "out of memory for an automaton");
    }
    *out = a;
    return AG_OK;
}

/* ---- algebra --------------------------------------------------------------------------------- */

/* Pairs of states that were met; of b the state may be AG_ATOM_NONE. */
typedef struct pairs {
    uint32_t v[AG_ATOM_STATES];
    uint32_t n;
    uint32_t *slots; /* owned [n_slots]: 1 + index into v; 0: free */
    uint32_t n_slots;
    ag_drawing draft;
} pairs;

static uint32_t find_pair(pairs *p, uint32_t s, uint32_t t, bool accepts) {
    uint32_t key = s << 16 | t, at = (key * 2654435761u) & (p->n_slots - 1);
    for (; p->slots[at]; at = (at + 1) & (p->n_slots - 1))
        if (p->v[p->slots[at] - 1] == key)
            return p->slots[at] - 1;
    if (p->n == AG_ATOM_STATES) {
        p->draft.failed = AG_E_GRAMMAR;
        return 0;
    }
    uint32_t state = ag_drawing_state(&p->draft, accepts);
    if (p->draft.failed)
        return 0;
    p->v[p->n++] = key;
    p->slots[at] = p->n;
    return state;
}

static ag_code combine(const ag_atom *a, const ag_atom *b, bool without, uint64_t *work,
                       ag_atom **out, ag_err *err) {
    *out = NULL;
    pairs *p = ag_calloc(AG_ROOM_GRAMMAR, 1, sizeof *p);
    if (p) {
        p->n_slots = 4 * AG_ATOM_STATES;
        p->slots = ag_calloc(AG_ROOM_GRAMMAR, p->n_slots, sizeof *p->slots);
    }
    if (!p || !p->slots) {
        ag_free(p);
        return ag_fail(err, AG_E_NOMEM, "out of memory for an automaton");
    }
#define ENDS(s, t)                                                                                 \
    ((a->flags[s] & AG_ATOM_ACCEPTS) &&                                                            \
     ((t) != AG_ATOM_NONE && (b->flags[t] & AG_ATOM_ACCEPTS)) != without)
    uint32_t start = ag_atom_is_void(b) ? AG_ATOM_NONE : 0;
    if (!ag_atom_is_void(a) && (without || start == 0))
        find_pair(p, 0, start, ENDS(0, start));
    for (uint32_t i = 0; i < p->n && !p->draft.failed; i++) {
        if (*work < 256) {
            p->draft.failed = AG_E_GRAMMAR;
            break;
        }
        *work -= 256;
        uint32_t s = p->v[i] >> 16, t = p->v[i] & 0xffff;
        uint32_t s_last = AG_ATOM_NONE, t_last = AG_ATOM_NONE, to = 0; /* neighbours go together */
        for (unsigned c = 0; c < 256; c++) {
            uint32_t s2 = ag_atom_step(a, s, (uint8_t)c);
            uint32_t t2 = t == AG_ATOM_NONE ? t : ag_atom_step(b, t, (uint8_t)c);
            if (s2 == AG_ATOM_NONE || (t2 == AG_ATOM_NONE && !without))
                continue;
            if (s2 != s_last || t2 != t_last)
                to = find_pair(p, s2, t2, ENDS(s2, t2));
            s_last = s2;
            t_last = t2;
            ag_drawing_edge(&p->draft, i, (uint8_t)c, (uint8_t)c, to);
        }
    }
#undef ENDS
    ag_code code = ag_drawing_finish(&p->draft, out, err);
    ag_free(p->slots);
    ag_free(p);
    return code;
}

ag_code ag_atom_both(const ag_atom *a, const ag_atom *b, uint64_t *work, ag_atom **out,
                     ag_err *err) {
    return combine(a, b, false, work, out, err);
}

ag_code ag_atom_without(const ag_atom *a, const ag_atom *b, uint64_t *work, ag_atom **out,
                        ag_err *err) {
    return combine(a, b, true, work, out, err);
}
