#include "grammar/nfa.h"

#include "base/limits.h"
#include "grammar/analyse.h"

#define NO_NODE UINT32_MAX /* from here no end can be reached */

typedef struct maker {
    ag_build *b;
    ag_nfa *n;
    const ag_rule_facts *facts;
    uint32_t *to_do; /* owned [n_rules]: rules that are called, in the order found */
    uint32_t n_to_do;
    uint32_t rule;     /* that is being made; UINT32_MAX: the start */
    uint32_t rule_end; /* its end */
    uint32_t node_room, way_room, byte_room;
    uint32_t depth;
} maker;

static uint32_t out_of_room(maker *m, bool too_large) {
    if (too_large)
        ag_build_fail(m->b, AG_E_GRAMMAR, "it is too large: it needs more than %u states",
                      AG_MAX_GRAMMAR_NODES);
    else
        ag_build_fail(m->b, AG_E_NOMEM, "out of memory for a grammar");
    return NO_NODE;
}

/* Room for n more entries. */
static bool grow(maker *m, void **array, uint32_t used, uint32_t n, uint32_t *room, size_t size) {
    if (n <= *room - used)
        return true;
    if (used > AG_MAX_GRAMMAR_NODES - n)
        return out_of_room(m, true) != NO_NODE;
    uint32_t more = *room * 2 > used + n ? *room * 2 : used + n + 64;
    void *p = ag_realloc(AG_ROOM_GRAMMAR, *array, more, size);
    if (!p)
        return out_of_room(m, false) != NO_NODE;
    *array = p;
    *room = more;
    return true;
}

static uint32_t add_node(maker *m, ag_node node) {
    if (!ag_build_spend(m->b, 1) ||
        !grow(m, (void **)&m->n->nodes, m->n->n_nodes, 1, &m->node_room, sizeof *m->n->nodes))
        return NO_NODE;
    m->n->nodes[m->n->n_nodes] = node;
    return m->n->n_nodes++;
}

/* A fork with room for n ways, which the caller fills. */
static uint32_t add_fork(maker *m, uint32_t n) {
    if (!grow(m, (void **)&m->n->ways, m->n->n_ways, n, &m->way_room, sizeof *m->n->ways))
        return NO_NODE;
    uint32_t at = m->n->n_ways;
    m->n->n_ways += n;
    return add_node(m, (ag_node){.kind = AG_NODE_FORK, .at = at, .n = n, .next = NO_NODE});
}

static uint32_t fork_two(maker *m, uint32_t a, uint32_t b) {
    if (a == NO_NODE || b == NO_NODE)
        return a == NO_NODE ? b : a;
    uint32_t fork = add_fork(m, 2);
    if (fork != NO_NODE) {
        m->n->ways[m->n->nodes[fork].at] = a;
        m->n->ways[m->n->nodes[fork].at + 1] = b;
    }
    return fork;
}

/* ---- expressions, from the back: each is made in front of the node that follows it -------------
 */

static uint32_t make(maker *m, const ag_expr *e, uint32_t next);

static uint32_t make_bytes(maker *m, ag_span s, uint32_t next) {
    while (s.n > 0 && next != NO_NODE) {
        uint32_t n = s.n < AG_NODE_OFFSETS ? (uint32_t)s.n : AG_NODE_OFFSETS;
        if (!grow(m, (void **)&m->n->bytes, m->n->n_bytes, n, &m->byte_room, 1))
            return NO_NODE;
        memcpy(m->n->bytes + m->n->n_bytes, s.p + s.n - n, n);
        next = add_node(
            m, (ag_node){.kind = AG_NODE_BYTES, .at = m->n->n_bytes, .n = n, .next = next});
        m->n->n_bytes += n;
        s.n -= n;
    }
    return next;
}

static uint32_t make_alt(maker *m, const ag_expr *e, uint32_t next) {
    uint32_t fork = add_fork(m, e->n), n = 0;
    for (uint32_t i = 0; i < e->n && fork != NO_NODE && !m->b->code; i++) {
        uint32_t way = make(m, e->u.parts[i], next);
        if (way != NO_NODE)
            m->n->ways[m->n->nodes[fork].at + n++] = way;
    }
    if (fork == NO_NODE || n == 0)
        return NO_NODE;
    m->n->nodes[fork].n = n;
    return n == 1 ? m->n->ways[m->n->nodes[fork].at] : fork;
}

/* Copies of a repeated part, made from the last to the first. */
typedef struct copies {
    uint32_t far;         /* copies beyond this many look alike; 0: they may not */
    uint32_t n;           /* made so far */
    uint32_t first, size; /* nodes of the last copy that does not look like another */
} copies;

/* Another copy has been made of the nodes from `from` on. */
static void note_copy(maker *m, copies *c, uint32_t from) {
    uint32_t size = m->n->n_nodes - from;
    if (++c->n == c->far) {
        c->first = from;
        c->size = size;
    }
    if (c->far == 0 || c->n <= c->far || size != c->size ||
        from != c->first + (c->n - c->far) * size)
        return;
    m->n->has_twins = true;
    for (uint32_t i = 0; i < size; i++)
        m->n->nodes[from + i].twin = c->first + i;
}

static uint32_t make_repeat(maker *m, const ag_expr *e, uint32_t next) {
    const ag_expr *part = e->u.parts[0];
    uint32_t at = next;
    if (!ag_expr_ends(part, m->facts))
        return e->min ? NO_NODE : next;
    /* Each copy takes a byte at least. */
    copies most = {.far = ag_expr_nullable(m->b, part, m->facts) ? 0 : m->b->vocab->longest + 1};
    copies least = most;
    if (e->max == AG_EXPR_MANY) {
        uint32_t loop = add_fork(m, 2);
        uint32_t body = loop == NO_NODE ? NO_NODE : make(m, part, loop);
        if (body == NO_NODE)
            return NO_NODE;
        m->n->ways[m->n->nodes[loop].at] = body;
        m->n->ways[m->n->nodes[loop].at + 1] = next;
        at = loop;
    } else {
        for (uint32_t i = e->min; i < e->max && at != NO_NODE; i++) {
            uint32_t from = m->n->n_nodes;
            at = fork_two(m, make(m, part, at), next);
            note_copy(m, &most, from);
        }
    }
    for (uint32_t i = 0; i < e->min && at != NO_NODE; i++) {
        uint32_t from = m->n->n_nodes;
        at = make(m, part, at);
        note_copy(m, &least, from);
    }
    return at;
}

static uint32_t make_rule(maker *m, uint32_t rule, uint32_t next) {
    if (!m->facts[rule].ends)
        return NO_NODE;
    if (m->facts[rule].in_place)
        return make(m, m->b->rules[rule].body, next);
    if (rule == m->rule && next == m->rule_end)
        return m->n->rules[rule].start;
    if (m->n->rules[rule].start == NO_NODE) {
        m->n->rules[rule].start = add_node(m, (ag_node){.kind = AG_NODE_FORK, .next = NO_NODE});
        m->to_do[m->n_to_do++] = rule;
    }
    return add_node(m, (ag_node){.kind = AG_NODE_CALL, .at = rule, .next = next});
}

static uint32_t make(maker *m, const ag_expr *e, uint32_t next) {
    if (next == NO_NODE || m->b->code || !ag_build_spend(m->b, 1))
        return NO_NODE;
    if (m->depth > AG_MAX_GRAMMAR_NESTING) {
        ag_build_fail(m->b, AG_E_GRAMMAR, "it is nested too deeply");
        return NO_NODE;
    }
    m->depth++;
    uint32_t at = next;
    switch (e->kind) {
    case AG_EXPR_BYTES:
        at = make_bytes(m, e->u.bytes, next);
        break;
    case AG_EXPR_ATOM:
        at = add_node(m, (ag_node){.kind = AG_NODE_ATOM, .at = e->u.index, .next = next});
        break;
    case AG_EXPR_SEQ:
        for (uint32_t i = e->n; i-- > 0;)
            at = make(m, e->u.parts[i], at);
        break;
    case AG_EXPR_ALT:
        at = make_alt(m, e, next);
        break;
    case AG_EXPR_REPEAT:
        at = make_repeat(m, e, next);
        break;
    case AG_EXPR_RULE:
        at = make_rule(m, e->u.index, next);
        break;
    case AG_EXPR_TOKEN:
        m->n->has_tokens = true;
        at =
            add_node(m, (ag_node){.kind = AG_NODE_TOKEN, .at = (uint32_t)e->u.token, .next = next});
        break;
    case AG_EXPR_NOTHING:
        at = NO_NODE;
        break;
    default: /* empty; anchors were resolved */
        break;
    }
    m->depth--;
    return at;
}

/* The graph of a rule that is called, behind the fork which is its start. */
static void make_called(maker *m, uint32_t rule) {
    m->rule = rule;
    m->rule_end = add_node(m, (ag_node){.kind = AG_NODE_END, .next = NO_NODE});
    uint32_t body = make(m, m->b->rules[rule].body, m->rule_end);
    if (body == NO_NODE ||
        !grow(m, (void **)&m->n->ways, m->n->n_ways, 1, &m->way_room, sizeof *m->n->ways))
        return;
    ag_node *start = &m->n->nodes[m->n->rules[rule].start];
    start->at = m->n->n_ways;
    start->n = 1;
    m->n->ways[m->n->n_ways++] = body;
    m->n->rules[rule].order = m->facts[rule].order;
    m->n->rules[rule].nullable = m->facts[rule].nullable;
}

/* ---- classes of bytes -------------------------------------------------------------------------
 */

/* Split the classes by another way to tell bytes apart: [256] labels. */
static void refine(ag_nfa *n, const uint8_t label[256]) {
    uint16_t seen[256][2]; /* old class and label of each new class */
    uint32_t n_new = 0;
    if (n->n_classes == 256)
        return;
    for (unsigned c = 0; c < 256; c++) {
        uint32_t k = 0;
        while (k < n_new && (seen[k][0] != n->class_of[c] || seen[k][1] != label[c]))
            k++;
        if (k == n_new) {
            seen[n_new][0] = n->class_of[c];
            seen[n_new++][1] = label[c];
            n->byte_of[k] = (uint8_t)c;
        }
        n->class_of[c] = (uint8_t)k; /* k <= c: those read later are still old */
    }
    n->n_classes = n_new;
}

static void classify(ag_nfa *n) {
    uint8_t used[256] = {0}, label[256];
    n->n_classes = 1;
    for (uint32_t i = 0; i < n->n_bytes; i++)
        used[(uint8_t)n->bytes[i]] = 1;
    uint8_t k = 0;
    for (unsigned c = 0; c < 256; c++)
        label[c] = used[c] ? ++k : 0; /* 256 used bytes wrap the last to 0, still apart */
    refine(n, label);
    for (uint32_t i = 0; i < n->n_atoms; i++)
        refine(n, n->atoms[i]->class_of);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool make_all(maker *m, const ag_expr *start) {
    ag_build *b = m->b;
    for (uint32_t i = 0; i < b->n_rules; i++)
        m->n->rules[i].start = NO_NODE;
    m->n->n_rules = b->n_rules;
    m->rule = UINT32_MAX;
    m->rule_end = add_node(m, (ag_node){.kind = AG_NODE_END, .next = NO_NODE});
    m->n->start = make(m, start, m->rule_end);
    if (!b->code && m->n->start == NO_NODE)
        ag_rules_refuse(b, start, m->facts);
    for (uint32_t i = 0; i < m->n_to_do && !b->code; i++)
        make_called(m, m->to_do[i]);
    if (b->code)
        return false;
    m->n->atoms = b->atoms;
    m->n->n_atoms = b->n_atoms;
    if (!m->n->is_sketch) {
        b->atoms = NULL;
        b->n_atoms = b->atom_room = 0;
    }
    classify(m->n);
    return true;
}

static ag_code build(ag_build *b, const ag_expr *start, bool is_sketch, ag_nfa *out, ag_err *err) {
    *out = (ag_nfa){.is_sketch = is_sketch};
    maker m = {.b = b, .n = out};
    ag_rule_facts *facts = NULL;
    bool ok = start && !b->code;
    if (ok) {
        facts = ag_calloc(AG_ROOM_GRAMMAR, b->n_rules, sizeof *facts);
        m.to_do = ag_calloc(AG_ROOM_GRAMMAR, b->n_rules, sizeof *m.to_do);
        out->rules = ag_calloc(AG_ROOM_GRAMMAR, b->n_rules, sizeof *out->rules);
        m.facts = facts;
        ok = facts && m.to_do && out->rules;
        if (!ok)
            ag_build_fail(b, AG_E_NOMEM, "out of memory for a grammar");
    }
    ok = ok && ag_rules_analyse(b, start, is_sketch, facts) && make_all(&m, start);
    ag_free(facts);
    ag_free(m.to_do);
    if (ok)
        return AG_OK;
    ag_nfa_deinit(out);
    return ag_fail(err, b->code, "%s", b->err.msg);
}

ag_code ag_nfa_build(ag_build *b, const ag_expr *start, ag_nfa *out, ag_err *err) {
    return build(b, start, false, out, err);
}

ag_code ag_nfa_sketch(ag_build *b, const ag_expr *start, ag_nfa *out, ag_err *err) {
    return build(b, start, true, out, err);
}

void ag_nfa_deinit(ag_nfa *n) {
    for (uint32_t i = 0; i < n->n_atoms && !n->is_sketch; i++)
        ag_atom_free(n->atoms[i]);
    if (!n->is_sketch)
        ag_free(n->atoms);
    ag_free(n->nodes);
    ag_free(n->ways);
    ag_free(n->bytes);
    ag_free(n->rules);
    *n = (ag_nfa){0};
}

size_t ag_nfa_bytes(const ag_nfa *n) {
    size_t bytes = n->n_nodes * sizeof *n->nodes + n->n_ways * sizeof *n->ways + n->n_bytes +
                   n->n_rules * sizeof *n->rules;
    for (uint32_t i = 0; i < n->n_atoms; i++)
        bytes += sizeof **n->atoms + n->atoms[i]->n_states +
                 sizeof(uint16_t) * n->atoms[i]->n_states * n->atoms[i]->n_classes;
    return bytes;
}
