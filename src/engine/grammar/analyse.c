#include "grammar/analyse.h"

#include "base/limits.h"

#define IN_PLACE_NODES 24u /* a rule up to this size is copied rather than called */

bool ag_expr_ends(const ag_expr *e, const ag_rule_facts *facts) {
    switch (e->kind) {
    case AG_EXPR_NOTHING:
        return false;
    case AG_EXPR_SEQ:
        for (uint32_t i = 0; i < e->n; i++)
            if (!ag_expr_ends(e->u.parts[i], facts))
                return false;
        return true;
    case AG_EXPR_ALT:
        for (uint32_t i = 0; i < e->n; i++)
            if (ag_expr_ends(e->u.parts[i], facts))
                return true;
        return false;
    case AG_EXPR_REPEAT:
        return e->min == 0 || ag_expr_ends(e->u.parts[0], facts);
    case AG_EXPR_RULE:
        return facts[e->u.index].ends;
    default:
        return true;
    }
}

bool ag_expr_nullable(const ag_build *b, const ag_expr *e, const ag_rule_facts *facts) {
    switch (e->kind) {
    case AG_EXPR_EMPTY:
        return true;
    case AG_EXPR_ATOM:
        return b->atoms[e->u.index]->flags[0] & AG_ATOM_ACCEPTS;
    case AG_EXPR_SEQ:
        for (uint32_t i = 0; i < e->n; i++)
            if (!ag_expr_nullable(b, e->u.parts[i], facts))
                return false;
        return true;
    case AG_EXPR_ALT:
        for (uint32_t i = 0; i < e->n; i++)
            if (ag_expr_nullable(b, e->u.parts[i], facts))
                return true;
        return false;
    case AG_EXPR_REPEAT:
        return e->min == 0 || ag_expr_nullable(b, e->u.parts[0], facts);
    case AG_EXPR_RULE:
        return facts[e->u.index].nullable;
    default:
        return false;
    }
}

typedef struct search {
    ag_build *b;
    ag_rule_facts *facts;
    uint8_t *state;  /* [n_rules] of the search that runs: 0 new, 1 open, 2 done */
    uint32_t *rules; /* [n] those that are looked at */
    uint32_t n;
    uint32_t order; /* counts down */
    uint32_t depth;
} search;

/* Smallest solution: raise what follows from what is known until nothing changes. Rules use later
 * ones (grammars) or earlier ones (schemas), so a round goes up and down. */
static bool solve_ends_and_nullable(search *s) {
    ag_build *b = s->b;
    ag_rule_facts *facts = s->facts;
    for (bool more = true; more;) {
        more = false;
        for (uint32_t k = 0; k < 2 * s->n; k++) {
            uint32_t i = s->rules[k < s->n ? k : 2 * s->n - 1 - k];
            const ag_expr *body = b->rules[i].body;
            if (!body) /* of a sketch: not yet known */
                continue;
            if (!ag_build_spend(b, body->size < 1000 ? body->size : 1000))
                return false;
            bool ends = facts[i].ends || ag_expr_ends(body, facts);
            bool nullable = facts[i].nullable || ag_expr_nullable(b, body, facts);
            more |= ends != facts[i].ends || nullable != facts[i].nullable;
            facts[i].ends = ends;
            facts[i].nullable = nullable;
        }
    }
    return true;
}

/* ---- direct left recursion --------------------------------------------------------------------
 */

static bool begins_with(const ag_expr *e, uint32_t rule) {
    if (e->kind == AG_EXPR_SEQ)
        e = e->u.parts[0];
    return e->kind == AG_EXPR_RULE && e->u.index == rule;
}

/* A ::= A x | y becomes A ::= y x*. */
static void unroll(ag_build *b, uint32_t rule) {
    const ag_expr *body = b->rules[rule].body;
    if (!body)
        return;
    const ag_expr *const one[] = {body};
    bool alt = body->kind == AG_EXPR_ALT;
    const ag_expr *const *parts = alt ? body->u.parts : one;
    ag_parts firsts = {0}, tails = {0};
    for (uint32_t i = 0; i < (alt ? body->n : 1); i++) {
        const ag_expr *p = parts[i];
        if (!begins_with(p, rule))
            ag_parts_add(b, &firsts, p);
        else if (p->kind == AG_EXPR_SEQ) /* "A ::= A" alone says nothing */
            ag_parts_add(b, &tails, ag_expr_seq(b, p->u.parts + 1, p->n - 1));
    }
    if (b->code || firsts.n == (alt ? body->n : 1))
        return;
    body = AG_SEQ(b, ag_expr_alt(b, firsts.v, firsts.n),
                  ag_expr_repeat(b, ag_expr_alt(b, tails.v, tails.n), 0, AG_EXPR_MANY));
    if (body)
        b->rules[rule].body = body;
}

/* ---- the order of beginnings ------------------------------------------------------------------
 */

/* Going into an expression; false when it is too deep or the budget is spent. */
static bool enter(search *s) {
    if (s->depth >= AG_MAX_GRAMMAR_NESTING)
        ag_build_fail(s->b, AG_E_GRAMMAR, "it is nested too deeply");
    s->depth++;
    return ag_build_spend(s->b, 1);
}

static bool visit_begins(search *s, uint32_t rule);

/* Visit the rules that can stand at the beginning of e. */
static bool walk_begins(search *s, const ag_expr *e) {
    bool ok = enter(s);
    if (ok && e->kind == AG_EXPR_RULE)
        ok = visit_begins(s, e->u.index);
    for (uint32_t i = 0; i < e->n && ok; i++) {
        ok = walk_begins(s, e->u.parts[i]);
        if (e->kind == AG_EXPR_SEQ && !ag_expr_nullable(s->b, e->u.parts[i], s->facts))
            break;
    }
    s->depth--;
    return ok;
}

static bool visit_begins(search *s, uint32_t rule) {
    if (s->state[rule] == 2 || !s->facts[rule].ends)
        return true;
    if (s->state[rule] == 1) {
        ag_span name = ag_span_sub(s->b->rules[rule].name, 0, 64);
        ag_build_fail(s->b, AG_E_GRAMMAR,
                      name.n ? "the rule \"%.*s\" is left-recursive by way of others: it begins "
                               "with itself before any text is read"
                             : "it refers to itself%.*s before any text is read",
                      AG_SPAN(name));
        return false;
    }
    s->state[rule] = 1;
    bool ok = walk_begins(s, s->b->rules[rule].body);
    s->state[rule] = 2;
    s->facts[rule].order = s->order--;
    return ok;
}

/* ---- what to put in place ---------------------------------------------------------------------
 */

static uint32_t sum(uint32_t a, uint32_t b) { return a > UINT32_MAX - b ? UINT32_MAX : a + b; }
static uint32_t times(uint32_t a, uint32_t n) {
    return n && a > UINT32_MAX / n ? UINT32_MAX : a * n;
}
static uint32_t copies_of(const ag_expr *e) {
    return e->kind != AG_EXPR_REPEAT ? 1 : e->max == AG_EXPR_MANY ? sum(e->min, 1) : e->max;
}

static bool walk_uses(search *s, const ag_expr *e, uint32_t copies);

/* `in_place` starts as "may be": cleared for every rule that a call comes back to. */
static bool visit_uses(search *s, uint32_t rule) {
    if (s->state[rule] == 1)
        s->facts[rule].in_place = false;
    if (s->state[rule] || !s->b->rules[rule].body)
        return true;
    s->state[rule] = 1;
    bool ok = walk_uses(s, s->b->rules[rule].body, 1);
    s->state[rule] = 2;
    return ok;
}

static bool walk_uses(search *s, const ag_expr *e, uint32_t copies) {
    bool ok = enter(s);
    if (ok && e->kind == AG_EXPR_RULE) {
        s->facts[e->u.index].uses = sum(s->facts[e->u.index].uses, copies);
        ok = visit_uses(s, e->u.index);
    }
    for (uint32_t i = 0; i < e->n && ok; i++)
        ok = walk_uses(s, e->u.parts[i], times(copies, copies_of(e)));
    s->depth--;
    return ok;
}

static bool visit_size(search *s, uint32_t rule);

/* Add the nodes that e will need. */
static bool walk_size(search *s, const ag_expr *e, uint32_t *size) {
    bool ok = enter(s);
    uint32_t own = 1;
    if (e->kind == AG_EXPR_RULE) {
        ok = ok && visit_size(s, e->u.index);
        own = s->facts[e->u.index].in_place ? s->facts[e->u.index].size : 1;
    } else if (e->n == 0) {
        own = e->size;
    }
    for (uint32_t i = 0; i < e->n && ok; i++)
        ok = walk_size(s, e->u.parts[i], &own);
    *size = sum(*size, times(own, copies_of(e)));
    s->depth--;
    return ok;
}

static bool visit_size(search *s, uint32_t rule) {
    ag_rule_facts *f = &s->facts[rule];
    if (s->state[rule] || !s->b->rules[rule].body) /* when open, it recurs */
        return true;
    s->state[rule] = 1;
    bool ok = walk_size(s, s->b->rules[rule].body, &f->size);
    s->state[rule] = 2;
    f->in_place = f->in_place && (f->uses <= 1 || f->size <= IN_PLACE_NODES);
    return ok;
}

/* ---- which rules there are -------------------------------------------------------------------
 */

static bool walk_reached(search *s, const ag_expr *e) {
    bool ok = enter(s);
    if (ok && e->kind == AG_EXPR_RULE && !s->state[e->u.index]) {
        s->state[e->u.index] = 1;
        s->rules[s->n++] = e->u.index;
        const ag_expr *body = s->b->rules[e->u.index].body;
        ok = !body || walk_reached(s, body);
    }
    for (uint32_t i = 0; i < e->n && ok; i++)
        ok = walk_reached(s, e->u.parts[i]);
    s->depth--;
    return ok;
}

/* All of them, or those that the start comes to: sketches are made again and again while their
 * builder gets more rules. */
static bool list_rules(search *s, const ag_expr *start, bool reached) {
    if (reached)
        return walk_reached(s, start);
    while (s->n < s->b->n_rules)
        s->rules[s->n] = s->n, s->n++;
    return true;
}

static bool analyse(search *s, const ag_expr *start, bool reached) {
    ag_build *b = s->b;
    if (!list_rules(s, start, reached))
        return false;
    for (uint32_t i = 0; i < s->n && !b->code; i++)
        unroll(b, s->rules[i]);
    if (b->code || !solve_ends_and_nullable(s))
        return false;
    memset(s->state, 0, b->n_rules);
    for (uint32_t i = 0; i < s->n; i++) {
        uint32_t rule = s->rules[i];
        s->facts[rule].in_place = !b->rules[rule].shared;
        if (!visit_begins(s, rule))
            return false;
    }
    memset(s->state, 0, b->n_rules);
    if (!walk_uses(s, start, 1))
        return false;
    memset(s->state, 0, b->n_rules);
    uint32_t size = 0;
    return walk_size(s, start, &size);
}

bool ag_rules_analyse(ag_build *b, const ag_expr *start, bool reached, ag_rule_facts *facts) {
    search s = {.b = b, .facts = facts, .order = b->n_rules};
    s.state = ag_calloc(AG_ROOM_GRAMMAR, b->n_rules, sizeof *s.state);
    s.rules = ag_calloc(AG_ROOM_GRAMMAR, b->n_rules, sizeof *s.rules);
    bool ok = s.state && s.rules;
    if (ok)
        ok = analyse(&s, start, reached);
    else
        ag_build_fail(b, AG_E_NOMEM, "out of memory for a grammar");
    ag_free(s.state);
    ag_free(s.rules);
    return ok;
}

/* ---- what is to blame ------------------------------------------------------------------------ */

/* The first part without which there is no text, or of several ways the first. */
static const ag_expr *blamed_part(const ag_expr *e, const ag_rule_facts *facts) {
    uint32_t i = 0;
    while (e->kind == AG_EXPR_SEQ && i + 1 < e->n && ag_expr_ends(e->u.parts[i], facts))
        i++;
    return e->u.parts[i];
}

void ag_rules_refuse(ag_build *b, const ag_expr *start, const ag_rule_facts *facts) {
    const ag_expr *e = start;
    ag_span where = {0};
    uint32_t n_left = b->n_rules; /* more rules on the way down: one leads back to itself */
    while (e && e->kind != AG_EXPR_NOTHING && (e->kind != AG_EXPR_RULE || n_left-- > 0)) {
        if (e->kind == AG_EXPR_RULE) {
            const ag_rule *rule = &b->rules[e->u.index];
            where = rule->where.n ? rule->where : where;
            e = rule->body;
        } else {
            e = blamed_part(e, facts);
        }
    }
    if (e && e->kind == AG_EXPR_NOTHING && e->u.bytes.n)
        ag_build_fail(b, AG_E_GRAMMAR, "%.*s", AG_SPAN(e->u.bytes));
    else if (where.n)
        ag_build_fail(b, AG_E_GRAMMAR, "%.*s: its values would hold each other without end",
                      AG_SPAN(where));
    else
        ag_build_fail(b, AG_E_GRAMMAR, "no text at all fulfils it");
}
