#include "grammar/gbnf.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/map.h"
#include "base/utf8.h"
#include "grammar/charset.h"
#include "grammar/regex.h"
#include "grammar/schema.h"

typedef struct reader {
    ag_build *b;
    ag_span t;
    size_t at;
    int depth;
    ag_map names; /* rule name → number */
} reader;

static const ag_expr *fail_at(reader *r, size_t at, const char *why) {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at && i < r->t.n; i++) {
        column = r->t.p[i] == '\n' ? 1 : column + 1;
        line += r->t.p[i] == '\n';
    }
    return ag_build_fail(r->b, AG_E_GRAMMAR, "line %zu, column %zu: %s", line, column, why);
}

static const ag_expr *fail(reader *r, const char *why) { return fail_at(r, r->at, why); }

static char peek(const reader *r) { return r->at < r->t.n ? r->t.p[r->at] : 0; }

static bool starts(const reader *r, const char *text) {
    return ag_span_starts(ag_span_sub(r->t, r->at, r->t.n), ag_str(text));
}

static bool take(reader *r, const char *text) {
    bool is = starts(r, text);
    r->at += is ? strlen(text) : 0;
    return is;
}

static void skip(reader *r, bool lines) {
    for (; r->at < r->t.n; r->at++) {
        char c = peek(r);
        if (c == '#')
            while (r->at + 1 < r->t.n && r->t.p[r->at + 1] != '\n')
                r->at++;
        else if (c != ' ' && c != '\t' && c != '\r' && (c != '\n' || !lines))
            return;
    }
}

static bool is_name_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static ag_span take_name(reader *r) {
    size_t from = r->at;
    while (is_name_char(peek(r)))
        r->at++;
    return ag_span_sub(r->t, from, r->at);
}

/* The rule of this name, made when it is new. */
static uint32_t rule_of(reader *r, ag_span name, size_t at) {
    uint64_t rule = 0;
    if (ag_map_find(&r->names, name, &rule))
        return (uint32_t)rule;
    rule = ag_rule_add(r->b, name);
    if (rule == UINT32_MAX)
        return UINT32_MAX;
    if (ag_map_add(&r->names, name, rule, NULL, NULL)) {
        ag_build_fail(r->b, AG_E_NOMEM, "out of memory for a grammar");
        return UINT32_MAX;
    }
    r->b->rules[rule].at = at;
    return (uint32_t)rule;
}

/* ---- terminals ------------------------------------------------------------------------------- */

static const ag_expr *parse_literal(reader *r) {
    size_t from = r->at++;
    ag_buf text;
    ag_buf_init(&text, AG_ROOM_GRAMMAR, AG_MAX_GRAMMAR_BYTES);
    const char *why = NULL;
    while (!why && r->at < r->t.n && peek(r) != '"' && peek(r) != '\n') {
        uint32_t c = 0;
        bool is_class = false;
        ag_charset set = {0};
        if (take(r, "\\")) {
            why = ag_escape_parse(r->t, &r->at, &set, &is_class, &c);
            ag_charset_deinit(&set);
            if (!why && is_class)
                why = "a class of characters cannot stand in a literal";
        } else {
            ag_utf8_step step = ag_utf8_next(ag_span_sub(r->t, r->at, r->t.n));
            r->at += step.n;
            c = step.cp;
        }
        char bytes[4];
        ag_buf_add(&text, bytes, ag_utf8_encode(c, bytes));
    }
    if (!why && !take(r, "\""))
        why = "the literal is not closed: a quote is missing";
    if (!why && text.failed)
        ag_build_fail(r->b, AG_E_NOMEM, "out of memory for a grammar");
    const ag_expr *e = why ? fail_at(r, from, why) : ag_expr_bytes(r->b, ag_buf_span(&text));
    ag_buf_deinit(&text);
    return e;
}

static const ag_expr *parse_class(reader *r) {
    ag_charset set = {0};
    size_t from = r->at;
    const char *why = ag_class_parse(r->t, &r->at, &set);
    if (!why)
        return ag_expr_set(r->b, &set, false);
    ag_charset_deinit(&set);
    return fail_at(r, from, why);
}

/* <[ID]>, <[text]>, <text> */
static const ag_expr *parse_token(reader *r) {
    size_t from = r->at;
    bool bracket = starts(r, "<[");
    size_t close = ag_span_find(r->t, ag_str(bracket ? "]>" : ">"), r->at);
    if (close == SIZE_MAX)
        return fail(r, "the token is not closed");
    /* In brackets the text is what lies between; without, the signs belong to the token's name. */
    ag_span name =
        bracket ? ag_span_sub(r->t, from + 2, close) : ag_span_sub(r->t, from, close + 1);
    r->at = close + (bracket ? 2 : 1);
    const ag_gvocab_source *source = &r->b->vocab->source;
    int64_t id = name.n > 0 && bracket && name.n < 10 ? 0 : -1;
    for (size_t i = 0; i < name.n && id >= 0; i++)
        id = name.p[i] >= '0' && name.p[i] <= '9' ? id * 10 + (name.p[i] - '0') : -1;
    if (id >= source->n_tokens)
        return fail_at(r, from, "the vocabulary has no token of this number");
    if (id < 0)
        id = source->find(source->ctx, name);
    return id < 0 ? fail_at(r, from, "the vocabulary has no token of this text")
                  : ag_expr_token(r->b, (int32_t)id);
}

/* Behind a failure of a part that has its own positions: say where the part stands. */
static const ag_expr *wrap(reader *r, size_t from, const char *what, const ag_expr *e) {
    if (e || r->b->err.msg[0] == 0)
        return e;
    size_t line = 1;
    for (size_t i = 0; i < from; i++)
        line += r->t.p[i] == '\n';
    ag_err_wrap(&r->b->err, r->b->code, "line %zu, %s", line, what);
    return NULL;
}

static const ag_expr *parse_regex(reader *r, size_t from) {
    skip(r, false);
    if (!take(r, "/"))
        return fail(r, "expected \"/\" behind %regex");
    size_t begin = r->at;
    bool in_class = false;
    for (; r->at < r->t.n && peek(r) != '\n' && (peek(r) != '/' || in_class); r->at++) {
        in_class = peek(r) == '[' || (in_class && peek(r) != ']');
        if (peek(r) == '\\')
            r->at++;
    }
    if (peek(r) != '/')
        return fail_at(r, from, "%regex is not closed: \"/\" is missing");
    ag_span text = ag_span_sub(r->t, begin, r->at++);
    return wrap(r, from, "%regex", ag_regex_parse(r->b, text, (ag_regex_mode){0}));
}

static const ag_expr *parse_json(reader *r, size_t from) {
    size_t used = 0;
    const ag_expr *e = ag_schema_parse(r->b, ag_span_sub(r->t, r->at, r->t.n), &used);
    r->at += used;
    if (e && e->kind == AG_EXPR_NOTHING) /* by mistake: there are shorter ways to write nothing */
        ag_build_fail(r->b, AG_E_GRAMMAR, "%.*s", AG_SPAN(e->u.bytes));
    return wrap(r, from, "%json", r->b->code ? NULL : e);
}

/* ---- rules ----------------------------------------------------------------------------------- */

static const ag_expr *parse_alternatives(reader *r, bool nested);

static const ag_expr *parse_group(reader *r) {
    size_t from = r->at++;
    if (++r->depth > AG_MAX_GRAMMAR_DEPTH)
        return fail(r, "groups are nested too deeply");
    const ag_expr *e = parse_alternatives(r, true);
    r->depth--;
    if (e && !take(r, ")"))
        return fail_at(r, from, "the group is not closed: \")\" is missing");
    return e;
}

static const ag_expr *parse_item(reader *r) {
    size_t from = r->at;
    switch (peek(r)) {
    case '"':
        return parse_literal(r);
    case '[':
        return parse_class(r);
    case '(':
        return parse_group(r);
    case '<':
        return parse_token(r);
    case '.': {
        ag_charset set = {0};
        ag_charset_invert(&set);
        r->at++;
        return ag_expr_set(r->b, &set, false);
    }
    case '%':
        if (take(r, "%json"))
            return parse_json(r, from);
        if (take(r, "%regex"))
            return parse_regex(r, from);
        return fail(r, "expected %json or %regex");
    default:
        break;
    }
    ag_span name = take_name(r);
    if (name.n == 0)
        return fail(r, "expected a literal, a class, a group, a rule's name or a token");
    return ag_expr_rule(r->b, rule_of(r, name, from));
}

static bool take_number(reader *r, uint32_t *n) {
    size_t from = r->at;
    uint64_t v = 0;
    for (; peek(r) >= '0' && peek(r) <= '9'; r->at++)
        v = v < UINT32_MAX ? v * 10 + (uint64_t)(peek(r) - '0') : v;
    *n = v < AG_EXPR_MANY ? (uint32_t)v : AG_EXPR_MANY - 1;
    return r->at > from;
}

/* Behind "{" */
static const ag_expr *parse_bounds(reader *r, const ag_expr *e) {
    uint32_t min = 0, max = 0;
    skip(r, false);
    bool low = take_number(r, &min);
    max = min;
    skip(r, false);
    if (take(r, ",")) {
        skip(r, false);
        if (!take_number(r, &max))
            max = AG_EXPR_MANY;
        skip(r, false);
    } else if (!low) {
        return fail(r, "expected {m}, {m,}, {,n} or {m,n}");
    }
    if (!take(r, "}") || min > max)
        return fail(r, "expected {m}, {m,}, {,n} or {m,n}");
    return ag_expr_repeat(r->b, e, min, max);
}

static const ag_expr *parse_sequence(reader *r, bool nested) {
    ag_parts parts = {0};
    for (skip(r, nested); r->at < r->t.n && !r->b->code; skip(r, nested)) {
        char c = peek(r);
        if (c == '|' || c == ')' || c == '\n')
            break;
        const ag_expr *e = parse_item(r);
        for (skip(r, nested); e && peek(r) && strchr("*+?{", peek(r)); skip(r, nested)) {
            if (take(r, "*"))
                e = ag_expr_repeat(r->b, e, 0, AG_EXPR_MANY);
            else if (take(r, "+"))
                e = ag_expr_repeat(r->b, e, 1, AG_EXPR_MANY);
            else if (take(r, "?"))
                e = ag_expr_maybe(r->b, e);
            else if (take(r, "{"))
                e = parse_bounds(r, e);
        }
        ag_parts_add(r->b, &parts, e);
    }
    return r->b->code ? NULL : ag_expr_seq(r->b, parts.v, parts.n);
}

static const ag_expr *parse_alternatives(reader *r, bool nested) {
    ag_parts parts = {0};
    bool more = true;
    while (more && !r->b->code) {
        skip(r, true);
        ag_parts_add(r->b, &parts, parse_sequence(r, nested));
        size_t end = r->at; /* no rule begins with "|", so the next line may */
        skip(r, true);
        more = take(r, "|");
        r->at = more ? r->at : end;
    }
    return r->b->code ? NULL : ag_expr_alt(r->b, parts.v, parts.n);
}

static void parse_rule(reader *r) {
    size_t from = r->at;
    ag_span name = take_name(r);
    if (name.n == 0) {
        fail(r, "expected the name of a rule");
        return;
    }
    uint32_t rule = rule_of(r, name, from);
    skip(r, false);
    if (rule == UINT32_MAX || !take(r, "::=")) {
        fail(r, "expected \"::=\" behind the name of the rule");
        return;
    }
    if (r->b->rules[rule].body) {
        fail_at(r, from, "a rule of this name was given before");
        return;
    }
    const ag_expr *body = parse_alternatives(r, false);
    if (body && r->at < r->t.n && peek(r) != '\n')
        fail(r, "expected the end of the line");
    if (!r->b->code)
        r->b->rules[rule].body = body;
}

static void check_defined(reader *r) {
    for (uint32_t i = 0; i < r->b->n_rules && !r->b->code; i++) {
        const ag_rule *rule = &r->b->rules[i];
        if (rule->name.n && !rule->body) {
            char why[96];
            snprintf(why, sizeof why, "the rule \"%.*s\" is not defined",
                     AG_SPAN(ag_span_sub(rule->name, 0, 64)));
            fail_at(r, rule->at, why);
        }
    }
}

const ag_expr *ag_gbnf_parse(ag_build *b, ag_span text) {
    reader r = {.b = b, .t = text};
    size_t good = ag_utf8_valid_prefix(text);
    if (good < text.n)
        return fail_at(&r, good, "it is not valid UTF-8");
    if (ag_map_init(&r.names, AG_ROOM_GRAMMAR, 0, NULL))
        return ag_build_fail(b, AG_E_NOMEM, "out of memory for a grammar");
    for (skip(&r, true); r.at < r.t.n && !b->code; skip(&r, true))
        parse_rule(&r);
    uint64_t root = 0;
    if (!b->code && !ag_map_find(&r.names, ag_str("root"), &root))
        ag_build_fail(b, AG_E_GRAMMAR, "there is no rule \"root\", with which it begins");
    check_defined(&r);
    ag_map_deinit(&r.names);
    return b->code ? NULL : ag_expr_rule(b, (uint32_t)root);
}
