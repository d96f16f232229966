#include "grammar/machine.h"

#include <stdlib.h>

#include "base/hash.h"

/* ---- memory and work --------------------------------------------------------------------------
 */

static bool stop(ag_machine *m, ag_code code) {
    if (!m->stopped)
        m->stopped = code;
    return false;
}

/* Room for n entries in all, new ones zeroed. */
static bool room_for(ag_machine *m, void **array, uint64_t n, uint32_t *room, size_t size) {
    if (n <= *room)
        return true;
    uint64_t more = (uint64_t)*room * 2 > n ? (uint64_t)*room * 2 : n + 16;
    if (more > UINT32_MAX || m->bytes + (size_t)(more - *room) * size > m->max_bytes)
        return stop(m, AG_E_GRAMMAR);
    void *p = ag_realloc(AG_ROOM_GRAMMAR, *array, (size_t)more, size);
    if (!p)
        return stop(m, AG_E_NOMEM);
    memset((char *)p + *room * size, 0, (size_t)(more - *room) * size);
    m->bytes += (size_t)(more - *room) * size;
    *array = p;
    *room = (uint32_t)more;
    return true;
}

static bool work(ag_machine *m, uint64_t n) {
    if (m->stopped)
        return false;
    if (n > m->work_left)
        return stop(m, AG_E_GRAMMAR);
    m->work_left -= n;
    return true;
}

bool ag_machine_work(ag_machine *m, uint64_t n) { return work(m, n); }

ag_code ag_machine_error(const ag_machine *m, ag_err *err) {
    if (m->stopped == AG_E_NOMEM)
        return ag_fail(err, AG_E_NOMEM, "out of memory while following a grammar");
    return ag_fail(err, AG_E_GRAMMAR,
                   "the grammar is too ambiguous: following it takes too much work or memory");
}

/* ---- interning --------------------------------------------------------------------------------
 */

static int compare(const ag_item *x, const ag_item *y) {
    if (x->stack != y->stack)
        return x->stack < y->stack ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

static int by_stack_and_place(const void *a, const void *b) { return compare(a, b); }

static uint32_t sort_unique(ag_item *v, uint32_t n) {
    uint32_t kept = n ? 1 : 0;
    if (n > 16) {
        qsort(v, n, sizeof *v, by_stack_and_place);
    } else {
        for (uint32_t i = 1; i < n; i++) {
            ag_item x = v[i];
            uint32_t at = i;
            for (; at > 0 && compare(&v[at - 1], &x) > 0; at--)
                v[at] = v[at - 1];
            v[at] = x;
        }
    }
    for (uint32_t i = 1; i < n; i++)
        if (compare(&v[kept - 1], &v[i]) != 0)
            v[kept++] = v[i];
    return kept;
}

static bool grow_slots(ag_machine *m, ag_sets *s) {
    if (s->n * 2 < s->n_slots)
        return true;
    uint32_t n = s->n_slots ? s->n_slots * 2 : 64;
    size_t extra = (n - s->n_slots) * sizeof *s->slots;
    if (m->bytes + extra > m->max_bytes)
        return stop(m, AG_E_GRAMMAR);
    uint32_t *slots = ag_calloc(AG_ROOM_GRAMMAR, n, sizeof *slots);
    if (!slots)
        return stop(m, AG_E_NOMEM);
    for (uint32_t i = 0; i < s->n; i++) {
        uint32_t at = s->v[i].hash & (n - 1);
        while (slots[at])
            at = (at + 1) & (n - 1);
        slots[at] = i + 1;
    }
    ag_free(s->slots);
    s->slots = slots;
    s->n_slots = n;
    m->bytes += extra;
    return true;
}

static bool is_equal(const ag_sets *s, const ag_set *set, const ag_item *items, uint32_t n,
                     bool accepts, uint32_t hash) {
    return set->hash == hash && set->n == n && set->accepts == accepts &&
           (n == 0 || memcmp(s->items + set->at, items, n * sizeof *items) == 0);
}

/* The number of this set of sorted items. `items` must not lie in the table. 0 when stopped. */
static uint32_t intern(ag_machine *m, ag_sets *s, const ag_item *items, uint32_t n, bool accepts) {
    uint32_t hash = (uint32_t)(ag_hash64(items, n * sizeof *items, accepts) >> 16);
    if (!work(m, 1 + n) || !grow_slots(m, s))
        return 0;
    uint32_t at = hash & (s->n_slots - 1);
    for (; s->slots[at]; at = (at + 1) & (s->n_slots - 1))
        if (is_equal(s, &s->v[s->slots[at] - 1], items, n, accepts, hash))
            return s->slots[at] - 1;
    if (!room_for(m, (void **)&s->v, (uint64_t)s->n + 1, &s->room, sizeof *s->v) ||
        !room_for(m, (void **)&s->items, (uint64_t)s->n_items + n, &s->item_room, sizeof *items))
        return 0;
    ag_set set = {.at = s->n_items, .n = n, .hash = hash, .accepts = accepts};
    if (n)
        memcpy(s->items + s->n_items, items, n * sizeof *items);
    s->n_items += n;
    s->v[s->n] = set;
    s->slots[at] = ++s->n;
    return s->n - 1;
}

static uint32_t intern_state(ag_machine *m, ag_item *items, uint32_t n, bool accepts) {
    uint32_t before = m->states.n;
    if ((n == 0 && !accepts) ||
        !room_for(m, (void **)&m->row, (uint64_t)before + 1, &m->row_room, sizeof *m->row))
        return AG_STATE_DEAD;
    uint32_t state = intern(m, &m->states, items, n, accepts);
    if (m->states.n > before) {
        bool has_bytes = false;
        for (uint32_t i = 0; i < n; i++)
            has_bytes |= m->nfa->nodes[AG_POS_NODE(items[i].place)].kind != AG_NODE_TOKEN;
        m->states.v[state].has_bytes = has_bytes;
    }
    return m->stopped ? AG_STATE_DEAD : state;
}

static uint32_t intern_return(ag_machine *m, const ag_item *items, uint32_t n) {
    return room_for(m, (void **)&m->opened, (uint64_t)m->returns.n + 1, &m->opened_room,
                    sizeof *m->opened)
               ? intern(m, &m->returns, items, n, false)
               : 0;
}

/* ---- closing a set: everything that its nodes lead to without reading ---------------------------
 */

struct ag_seen {
    uint32_t round, node, stack;
};

static void begin(ag_machine *m) {
    m->n_found = m->n_to_do = m->n_calls = m->n_seen = 0;
    m->accepts = false;
    m->round++;
}

static void push(ag_machine *m, uint32_t node, uint32_t stack) {
    if (room_for(m, (void **)&m->to_do, (uint64_t)m->n_to_do + 1, &m->to_do_room, sizeof *m->to_do))
        m->to_do[m->n_to_do++] = (ag_item){node, stack};
}

static void find(ag_machine *m, uint32_t place, uint32_t stack) {
    if (room_for(m, (void **)&m->found, (uint64_t)m->n_found + 1, &m->found_room, sizeof *m->found))
        m->found[m->n_found++] = (ag_item){place, stack};
}

static bool grow_seen(ag_machine *m) {
    if (m->n_seen * 2 < m->n_seen_slots)
        return true;
    struct ag_seen *old = m->seen;
    uint32_t n_old = m->n_seen_slots, n = n_old ? n_old * 2 : 64;
    if (m->bytes + n * sizeof *old > m->max_bytes)
        return stop(m, AG_E_GRAMMAR);
    m->seen = ag_calloc(AG_ROOM_GRAMMAR, n, sizeof *old);
    if (!m->seen) {
        m->seen = old;
        return stop(m, AG_E_NOMEM);
    }
    m->n_seen_slots = n;
    m->bytes += (n - n_old) * sizeof *old;
    for (uint32_t i = 0; i < n_old; i++) {
        if (old[i].round != m->round)
            continue;
        uint32_t at = (old[i].node * 0x9E3779B1u ^ old[i].stack * 0x85EBCA77u) & (n - 1);
        while (m->seen[at].round == m->round)
            at = (at + 1) & (n - 1);
        m->seen[at] = old[i];
    }
    ag_free(old);
    return true;
}

/* Was this node looked at with this stack? From now on it was. */
static bool was_seen(ag_machine *m, uint32_t node, uint32_t stack) {
    if (!grow_seen(m))
        return true;
    uint32_t at = (node * 0x9E3779B1u ^ stack * 0x85EBCA77u) & (m->n_seen_slots - 1);
    for (; m->seen[at].round == m->round; at = (at + 1) & (m->n_seen_slots - 1))
        if (m->seen[at].node == node && m->seen[at].stack == stack)
            return true;
    m->seen[at] = (struct ag_seen){m->round, node, stack};
    m->n_seen++;
    return false;
}

static void add_call(ag_machine *m, const ag_node *call, uint32_t stack) {
    uint32_t n = m->n_calls;
    if (!room_for(m, (void **)&m->calls, (uint64_t)n + 1, &m->call_room, sizeof *m->calls) ||
        !room_for(m, (void **)&m->callee, (uint64_t)n + 1, &m->callee_room, sizeof *m->callee))
        return;
    m->calls[n] = (ag_item){call->next, stack};
    m->callee[n] = call->at;
    m->n_calls++;
}

/* Look at one node. `fresh`: the stack of a rule just called, whose end is not reached here, as its
 * callers have gone past it already where it can be empty. */
static void look(ag_machine *m, uint32_t node, uint32_t stack, uint32_t fresh) {
    const ag_node *n = &m->nfa->nodes[node];
    switch (n->kind) {
    case AG_NODE_END:
        if (stack == 0) {
            m->accepts = true;
        } else if (stack != fresh) {
            const ag_set r = m->returns.v[stack];
            for (uint32_t i = 0; i < r.n; i++)
                push(m, m->returns.items[r.at + i].place, m->returns.items[r.at + i].stack);
        }
        break;
    case AG_NODE_FORK:
        for (uint32_t i = 0; i < n->n; i++)
            push(m, m->nfa->ways[n->at + i], stack);
        break;
    case AG_NODE_CALL:
        add_call(m, n, stack);
        if (m->nfa->rules[n->at].nullable)
            push(m, n->next, stack);
        break;
    case AG_NODE_ATOM: {
        uint8_t flags = m->nfa->atoms[n->at]->flags[0];
        if (flags & AG_ATOM_GOES_ON)
            find(m, AG_POS(node, 0), stack);
        if (flags & AG_ATOM_ACCEPTS)
            push(m, n->next, stack);
        break;
    }
    default: /* bytes, token */
        find(m, AG_POS(node, 0), stack);
    }
}

static void look_at_all(ag_machine *m, uint32_t fresh) {
    while (m->n_to_do > 0 && work(m, 1)) {
        ag_item x = m->to_do[--m->n_to_do];
        if (!was_seen(m, x.place, x.stack))
            look(m, x.place, x.stack, fresh);
    }
}

/* Of the rules called, the one that no other can still call here, or UINT32_MAX. */
static uint32_t first_callee(const ag_machine *m) {
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < m->n_calls; i++) {
        uint32_t rule = m->callee[i];
        if (best == UINT32_MAX || m->nfa->rules[rule].order < m->nfa->rules[best].order)
            best = rule;
    }
    return best;
}

/* The return of all calls of a rule, which move out of the list. A call at the end of its own rule
 * returns where that rule does, so stacks do not grow with it. */
static uint32_t return_of(ag_machine *m, uint32_t rule) {
    uint32_t kept = 0, from = m->n_found;
    for (uint32_t i = 0; i < m->n_calls; i++) {
        ag_item call = m->calls[i];
        if (m->callee[i] != rule) {
            m->callee[kept] = m->callee[i];
            m->calls[kept++] = call;
        } else if (call.stack != 0 && m->nfa->nodes[call.place].kind == AG_NODE_END) {
            const ag_set r = m->returns.v[call.stack];
            for (uint32_t k = 0; k < r.n; k++)
                find(m, m->returns.items[r.at + k].place, m->returns.items[r.at + k].stack);
        } else {
            find(m, call.place, call.stack);
        }
    }
    m->n_calls = kept;
    uint32_t n = sort_unique(m->found + from, m->n_found - from);
    m->n_found = from;
    return m->stopped ? 0 : intern_return(m, m->found + from, n);
}

/* The state of everything pushed and found since begin(). */
static uint32_t finish(ag_machine *m) {
    look_at_all(m, UINT32_MAX);
    for (uint32_t rule; !m->stopped && (rule = first_callee(m)) != UINT32_MAX;) {
        uint32_t stack = return_of(m, rule);
        if (m->stopped)
            break;
        push(m, m->nfa->rules[rule].start, stack);
        look_at_all(m, stack);
    }
    if (m->stopped)
        return AG_STATE_DEAD;
    uint32_t n = sort_unique(m->found, m->n_found);
    return intern_state(m, m->found, n, m->accepts);
}

/* ---- moving -----------------------------------------------------------------------------------
 */

/* What one item becomes by a byte. */
static void move(ag_machine *m, ag_item x, uint8_t byte) {
    uint32_t node = AG_POS_NODE(x.place), offset = AG_POS_OFFSET(x.place);
    const ag_node *n = &m->nfa->nodes[node];
    if (n->kind == AG_NODE_BYTES && (uint8_t)m->nfa->bytes[n->at + offset] == byte) {
        if (offset + 1 < n->n)
            find(m, AG_POS(node, offset + 1), x.stack);
        else
            push(m, n->next, x.stack);
    } else if (n->kind == AG_NODE_ATOM) {
        const ag_atom *a = m->nfa->atoms[n->at];
        uint32_t to = ag_atom_step(a, offset, byte);
        if (to == AG_ATOM_NONE)
            return;
        if (a->flags[to] & AG_ATOM_GOES_ON)
            find(m, AG_POS(node, to), x.stack);
        if (a->flags[to] & AG_ATOM_ACCEPTS)
            push(m, n->next, x.stack);
    }
}

static uint32_t compute_step(ag_machine *m, uint32_t state, uint8_t byte) {
    const ag_set s = m->states.v[state];
    if (!work(m, 1 + s.n))
        return AG_STATE_DEAD;
    begin(m);
    for (uint32_t i = 0; i < s.n; i++)
        move(m, m->states.items[s.at + i], byte);
    return finish(m);
}

uint32_t ag_machine_step(ag_machine *m, uint32_t state, uint8_t byte) {
    uint32_t class = m->nfa->class_of[byte], n_classes = m->nfa->n_classes;
    if (m->row[state]) {
        uint32_t to = m->ways[(m->row[state] - 1) * n_classes + class];
        if (to)
            return to - 1;
    } else {
        if (!room_for(m, (void **)&m->ways, ((uint64_t)m->n_rows + 1) * n_classes, &m->way_room,
                      sizeof *m->ways))
            return AG_STATE_DEAD;
        m->row[state] = ++m->n_rows;
    }
    uint32_t to = compute_step(m, state, m->nfa->byte_of[class]);
    if (!m->stopped)
        m->ways[(m->row[state] - 1) * n_classes + class] = to + 1;
    return to;
}

uint32_t ag_machine_token(ag_machine *m, uint32_t state, int32_t id, ag_span bytes) {
    uint32_t to = bytes.n ? state : AG_STATE_DEAD;
    for (size_t i = 0; i < bytes.n && to != AG_STATE_DEAD; i++)
        to = ag_machine_step(m, to, (uint8_t)bytes.p[i]);
    if (!m->nfa->has_tokens)
        return to;
    begin(m);
    bool any = false;
    for (uint32_t i = 0; i < m->states.v[state].n; i++) {
        ag_item x = m->states.items[m->states.v[state].at + i];
        const ag_node *n = &m->nfa->nodes[AG_POS_NODE(x.place)];
        if (n->kind != AG_NODE_TOKEN || n->at != (uint32_t)id)
            continue;
        any = true;
        push(m, n->next, x.stack);
    }
    if (!any)
        return to;
    for (uint32_t i = 0; i < m->states.v[to].n; i++)
        find(m, m->states.items[m->states.v[to].at + i].place,
             m->states.items[m->states.v[to].at + i].stack);
    m->accepts |= m->states.v[to].accepts;
    return finish(m);
}

uint32_t ag_machine_open(ag_machine *m, uint32_t stack) {
    if (m->opened[stack])
        return m->opened[stack];
    begin(m);
    const ag_set r = m->returns.v[stack];
    for (uint32_t i = 0; i < r.n; i++)
        push(m, m->returns.items[r.at + i].place, m->returns.items[r.at + i].stack);
    uint32_t state = finish(m);
    m->opened[stack] = state;
    return state;
}

uint32_t ag_machine_alone(ag_machine *m, uint32_t state, uint32_t from, uint32_t to) {
    begin(m);
    for (uint32_t i = from; i < to; i++)
        find(m, m->states.items[m->states.v[state].at + i].place, 0);
    return finish(m);
}

static uint32_t twin_of(const ag_machine *m, uint32_t place) {
    uint32_t twin = m->nfa->nodes[AG_POS_NODE(place)].twin;
    return twin ? AG_POS(twin, AG_POS_OFFSET(place)) : place;
}

uint32_t ag_machine_like(ag_machine *m, uint32_t state) {
    const ag_set s = m->states.v[state];
    bool any = false;
    for (uint32_t i = 0; m->nfa->has_twins && i < s.n && !any; i++)
        any = twin_of(m, m->states.items[s.at + i].place) != m->states.items[s.at + i].place;
    if (!any)
        return state;
    begin(m);
    for (uint32_t i = 0; i < s.n; i++)
        find(m, twin_of(m, m->states.items[s.at + i].place), m->states.items[s.at + i].stack);
    m->accepts = s.accepts;
    return finish(m);
}

uint32_t ag_machine_start(ag_machine *m) {
    if (m->start == AG_STATE_DEAD) {
        begin(m);
        push(m, m->nfa->start, 0);
        m->start = finish(m);
    }
    return m->start;
}

/* ---- life ------------------------------------------------------------------------------------ */

ag_code ag_machine_init(ag_machine *m, const ag_nfa *nfa, size_t max_bytes, ag_err *err) {
    *m = (ag_machine){.nfa = nfa, .max_bytes = max_bytes, .work_left = 1000};
    bool ok = room_for(m, (void **)&m->row, 1, &m->row_room, sizeof *m->row) &&
              room_for(m, (void **)&m->opened, 1, &m->opened_room, sizeof *m->opened);
    if (ok) {
        intern(m, &m->states, NULL, 0, false);  /* number 0: the dead state */
        intern(m, &m->returns, NULL, 0, false); /* number 0: the empty stack */
    }
    if (!m->stopped)
        return AG_OK;
    ag_code code = ag_machine_error(m, err);
    ag_machine_deinit(m);
    return code;
}

static void free_sets(ag_sets *s) {
    ag_free(s->v);
    ag_free(s->items);
    ag_free(s->slots);
}

void ag_machine_deinit(ag_machine *m) {
    free_sets(&m->states);
    free_sets(&m->returns);
    ag_free(m->row);
    ag_free(m->opened);
    ag_free(m->ways);
    ag_free(m->found);
    ag_free(m->to_do);
    ag_free(m->calls);
    ag_free(m->callee);
    ag_free(m->seen);
    *m = (ag_machine){0};
}
