#include "grammar/expr.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"

void ag_build_init(ag_build *b, const ag_gvocab *vocab) {
    *b = (ag_build){.vocab = vocab, .work_left = AG_MAX_GRAMMAR_WORK};
    ag_arena_init(&b->arena, AG_ROOM_GRAMMAR, AG_MAX_GRAMMAR_ARENA);
}

void ag_build_deinit(ag_build *b) {
    for (uint32_t i = 0; i < b->n_atoms; i++)
        ag_atom_free(b->atoms[i]);
    ag_free(b->atoms);
    ag_free(b->rules);
    ag_arena_deinit(&b->arena);
}

const ag_expr *ag_build_fail(ag_build *b, ag_code code, const char *fmt, ...) {
    if (b->code)
        return NULL;
    char msg[sizeof b->err.msg];
    va_list args;
    va_start(args, fmt);
    vsnprintf(msg, sizeof msg, fmt, args);
    va_end(args);
    b->code = ag_fail(&b->err, code, "%s", msg);
    return NULL;
}

bool ag_build_spend(ag_build *b, uint64_t n) {
    if (b->code)
        return false;
    if (n > b->work_left) {
        ag_build_fail(b, AG_E_GRAMMAR, "compiling it takes too much work; make it simpler");
        return false;
    }
    b->work_left -= n;
    return true;
}

/* The arena gave nothing for n bytes: its cap, or the machine's memory? */
static const ag_expr *no_room(ag_build *b, size_t n) {
    if (n > b->arena.cap - b->arena.bytes)
        return ag_build_fail(b, AG_E_GRAMMAR,
                             "it is too large: compiling it needs more than %zu MiB",
                             AG_MAX_GRAMMAR_ARENA >> 20);
    return ag_build_fail(b, AG_E_NOMEM, "out of memory for a grammar");
}

static ag_expr *new_expr(ag_build *b, ag_expr_kind kind, uint32_t size) {
    if (!ag_build_spend(b, 1))
        return NULL;
    ag_expr *e = ag_arena_get(&b->arena, sizeof *e);
    if (!e) {
        no_room(b, sizeof *e);
        return NULL;
    }
    e->kind = kind;
    e->id = b->n_exprs++;
    e->size = size;
    return e;
}

static uint32_t sum(uint32_t a, uint32_t b) { return a > UINT32_MAX - b ? UINT32_MAX : a + b; }

static uint32_t times(uint32_t a, uint32_t n) {
    return n && a > UINT32_MAX / n ? UINT32_MAX : a * n;
}

const ag_expr *ag_expr_nothing(ag_build *b) { return new_expr(b, AG_EXPR_NOTHING, 0); }
const ag_expr *ag_expr_empty(ag_build *b) { return new_expr(b, AG_EXPR_EMPTY, 0); }

const ag_expr *ag_expr_nothing_since(ag_build *b, const char *fmt, ...) {
    char why[sizeof b->err.msg];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    ag_expr *e = new_expr(b, AG_EXPR_NOTHING, 0);
    char *copy = e ? ag_arena_strndup(&b->arena, why, strlen(why)) : NULL;
    if (!copy)
        return no_room(b, strlen(why));
    e->u.bytes = ag_str(copy);
    return e;
}

const ag_expr *ag_expr_bytes(ag_build *b, ag_span bytes) {
    if (bytes.n == 0)
        return ag_expr_empty(b);
    ag_expr *e = new_expr(b, AG_EXPR_BYTES, (uint32_t)(1 + bytes.n / 1024));
    char *copy = e ? ag_arena_strndup(&b->arena, bytes.p, bytes.n) : NULL;
    if (!copy)
        return no_room(b, bytes.n);
    e->u.bytes = ag_span_of(copy, bytes.n);
    return e;
}

const ag_expr *ag_expr_text(ag_build *b, const char *text) {
    return ag_expr_bytes(b, ag_str(text));
}

/* Room for one more entry of an owned array; false and a failure without. */
static bool grow(ag_build *b, void **array, uint32_t n, uint32_t *room, size_t size) {
    if (n < *room)
        return true;
    uint32_t more = *room ? *room * 2 : 16;
    bool too_many = n >= AG_MAX_GRAMMAR_NODES;
    void *p = too_many ? NULL : ag_realloc(AG_ROOM_GRAMMAR, *array, more, size);
    if (!p) {
        ag_build_fail(b, too_many ? AG_E_GRAMMAR : AG_E_NOMEM,
                      too_many ? "it has too many rules" : "out of memory for a grammar");
        return false;
    }
    *array = p;
    *room = more;
    return true;
}

const ag_expr *ag_expr_atom_again(ag_build *b, uint32_t index) {
    ag_expr *e = new_expr(b, AG_EXPR_ATOM, 1);
    if (e)
        e->u.index = index;
    return e;
}

const ag_expr *ag_expr_atom(ag_build *b, ag_atom *atom) {
    if (!atom)
        return NULL;
    if (ag_atom_is_void(atom)) {
        ag_atom_free(atom);
        return ag_expr_nothing(b);
    }
    uint32_t i = 0;
    while (i < b->n_atoms && !ag_atom_eq(b->atoms[i], atom))
        i++;
    bool known = i < b->n_atoms;
    bool ok = ag_build_spend(b, 8 + i) &&
              (known || grow(b, (void **)&b->atoms, i, &b->atom_room, sizeof(ag_atom *)));
    if (!ok || known)
        ag_atom_free(atom);
    else
        b->atoms[b->n_atoms++] = atom;
    return ok ? ag_expr_atom_again(b, i) : NULL;
}

void ag_parts_add(ag_build *b, ag_parts *list, const ag_expr *part) {
    if (!part)
        return;
    if (list->n == list->room) {
        size_t room = list->room ? list->room * 2 : 8;
        const ag_expr **v = ag_arena_array(&b->arena, room, sizeof *v);
        if (!v) {
            no_room(b, room * sizeof *v);
            return;
        }
        if (list->n)
            memcpy(v, list->v, list->n * sizeof *v);
        list->v = v;
        list->room = room;
    }
    list->v[list->n++] = part;
}

/* SEQ drops empty parts and dies of an impossible one; ALT drops impossible parts. */
static const ag_expr *join(ag_build *b, ag_expr_kind kind, const ag_expr *const *parts, size_t n) {
    ag_parts list = {0};
    const ag_expr *nothing = NULL; /* the first, rather one that says why */
    for (size_t i = 0; i < n && !b->code; i++) {
        const ag_expr *p = parts[i];
        if (!p)
            return NULL;
        if (kind == AG_EXPR_SEQ && p->kind == AG_EXPR_NOTHING)
            return p;
        if (p->kind == AG_EXPR_NOTHING && (!nothing || nothing->u.bytes.n == 0))
            nothing = p;
        if (p->kind == (kind == AG_EXPR_SEQ ? AG_EXPR_EMPTY : AG_EXPR_NOTHING))
            continue;
        if (p->kind == kind)
            for (uint32_t k = 0; k < p->n; k++)
                ag_parts_add(b, &list, p->u.parts[k]);
        else
            ag_parts_add(b, &list, p);
    }
    if (!ag_build_spend(b, list.n))
        return NULL;
    if (list.n == 0 && kind == AG_EXPR_SEQ)
        return ag_expr_empty(b);
    if (list.n == 0)
        return nothing ? nothing : ag_expr_nothing(b);
    if (list.n == 1)
        return list.v[0];
    ag_expr *e = new_expr(b, kind, 1);
    if (!e)
        return NULL;
    e->u.parts = list.v;
    e->n = (uint32_t)list.n;
    for (size_t i = 0; i < list.n; i++) {
        e->size = sum(e->size, list.v[i]->size);
        e->has_start |= list.v[i]->has_start;
        e->has_end |= list.v[i]->has_end;
    }
    return e;
}

const ag_expr *ag_expr_seq(ag_build *b, const ag_expr *const *parts, size_t n) {
    return join(b, AG_EXPR_SEQ, parts, n);
}

const ag_expr *ag_expr_alt(ag_build *b, const ag_expr *const *parts, size_t n) {
    return join(b, AG_EXPR_ALT, parts, n);
}

const ag_expr *ag_expr_repeat(ag_build *b, const ag_expr *part, uint32_t min, uint32_t max) {
    if (!part || max == 0 || part->kind == AG_EXPR_EMPTY)
        return part ? ag_expr_empty(b) : NULL;
    if (part->kind == AG_EXPR_NOTHING)
        return min ? part : ag_expr_empty(b);
    if (min == 1 && max == 1)
        return part;
    uint32_t copies = max == AG_EXPR_MANY ? sum(min, 1) : max;
    if (copies > 2 && part->size > 8 && !part->has_start && !part->has_end)
        part = ag_expr_shared(b, part); /* once, and called */
    ag_expr *e = new_expr(b, AG_EXPR_REPEAT, 1);
    const ag_expr **parts = e ? ag_arena_array(&b->arena, 1, sizeof *parts) : NULL;
    if (!parts || !part)
        return no_room(b, sizeof *parts);
    parts[0] = part;
    e->u.parts = parts;
    e->n = 1;
    e->min = min;
    e->max = max;
    e->size = sum(times(sum(part->size, 1), copies), 1);
    e->has_start = part->has_start;
    e->has_end = part->has_end;
    if (e->size > AG_MAX_GRAMMAR_NODES)
        return ag_build_fail(b, AG_E_GRAMMAR,
                             "a repetition of %u times makes the grammar too large", copies);
    return e;
}

const ag_expr *ag_expr_maybe(ag_build *b, const ag_expr *part) {
    return ag_expr_repeat(b, part, 0, 1);
}

const ag_expr *ag_expr_token(ag_build *b, int32_t id) {
    ag_expr *e = new_expr(b, AG_EXPR_TOKEN, 1);
    if (e)
        e->u.token = id;
    return e;
}

const ag_expr *ag_expr_anchor(ag_build *b, ag_expr_kind kind) {
    ag_expr *e = new_expr(b, kind, 0);
    if (e) {
        e->has_start = kind == AG_EXPR_START;
        e->has_end = kind == AG_EXPR_END;
    }
    return e;
}

uint32_t ag_rule_add(ag_build *b, ag_span name) {
    if (b->code || !grow(b, (void **)&b->rules, b->n_rules, &b->rule_room, sizeof *b->rules))
        return UINT32_MAX;
    b->rules[b->n_rules] = (ag_rule){.name = name};
    return b->n_rules++;
}

const ag_expr *ag_expr_rule(ag_build *b, uint32_t rule) {
    ag_expr *e = rule < b->n_rules ? new_expr(b, AG_EXPR_RULE, 1) : NULL;
    if (e)
        e->u.index = rule;
    return e;
}

const ag_expr *ag_expr_shared(ag_build *b, const ag_expr *body) {
    if (body && body->kind == AG_EXPR_NOTHING)
        return body;
    uint32_t rule = body ? ag_rule_add(b, (ag_span){0}) : UINT32_MAX;
    if (rule == UINT32_MAX)
        return NULL;
    b->rules[rule].body = body;
    b->rules[rule].shared = true;
    return ag_expr_rule(b, rule);
}
