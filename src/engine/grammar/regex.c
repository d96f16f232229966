#include "grammar/regex.h"

#include "base/limits.h"
#include "base/utf8.h"
#include "grammar/charset.h"

typedef struct reader {
    ag_build *b;
    ag_span t;
    size_t at;
    int depth;
    ag_regex_mode mode;
} reader;

static const ag_expr *fail(reader *r, size_t at, const char *why) {
    return ag_build_fail(r->b, AG_E_GRAMMAR, "position %zu: %s", at, why);
}

static char peek(const reader *r) { return r->at < r->t.n ? r->t.p[r->at] : 0; }

static bool take(reader *r, const char *text) {
    if (!ag_span_starts(ag_span_sub(r->t, r->at, r->t.n), ag_str(text)))
        return false;
    r->at += strlen(text);
    return true;
}

static const ag_expr *one_char(reader *r, uint32_t c) {
    if (r->mode.in_json && (c < 0x20 || c == '"' || c == '\\')) {
        ag_charset set = {0};
        ag_charset_add(&set, c, c);
        return ag_expr_set(r->b, &set, true);
    }
    char bytes[4];
    return ag_expr_bytes(r->b, ag_span_of(bytes, ag_utf8_encode(c, bytes)));
}

static const ag_expr *any_char(reader *r, bool lines) {
    ag_charset set = {0};
    if (!lines) {
        ag_charset_add(&set, '\n', '\n');
        ag_charset_add(&set, '\r', '\r');
    }
    ag_charset_invert(&set);
    return ag_expr_set(r->b, &set, r->mode.in_json);
}

static const ag_expr *parse_alternatives(reader *r);

/* Behind "(". */
static const ag_expr *parse_group(reader *r, size_t from) {
    if (peek(r) == '?') {
        bool plain = take(r, "?:"), named = false;
        if (!plain && (take(r, "?P<") || take(r, "?<"))) {
            named = peek(r) != '=' && peek(r) != '!';
            size_t close = ag_span_find(r->t, ag_str(">"), r->at);
            if (named && close == SIZE_MAX)
                return fail(r, from, "the name of the group is not closed");
            r->at = named ? close + 1 : r->at;
        }
        if (!plain && !named)
            return fail(r, from,
                        "of the groups that begin with \"(?\" only (?: ) and (?<name> ) "
                        "are supported");
    }
    if (++r->depth > AG_MAX_GRAMMAR_DEPTH)
        return fail(r, from, "groups are nested too deeply");
    const ag_expr *e = parse_alternatives(r);
    r->depth--;
    if (e && !take(r, ")"))
        return fail(r, from, "the group is not closed: \")\" is missing");
    return e;
}

static const ag_expr *parse_escape(reader *r, size_t from) {
    ag_charset set = {0};
    bool is_class = false;
    uint32_t c = 0;
    if (take(r, "A"))
        return ag_expr_anchor(r->b, AG_EXPR_START);
    if (take(r, "z") || take(r, "Z"))
        return ag_expr_anchor(r->b, AG_EXPR_END);
    const char *why = peek(r) == 'b' || peek(r) == 'B'
                          ? "\\b and \\B are not supported"
                          : ag_escape_parse(r->t, &r->at, &set, &is_class, &c);
    if (!why && is_class)
        return ag_expr_set(r->b, &set, r->mode.in_json);
    ag_charset_deinit(&set);
    return why ? fail(r, from, why) : one_char(r, c);
}

static const ag_expr *parse_class(reader *r, size_t from) {
    ag_charset set = {0};
    const char *why = ag_class_parse(r->t, &r->at, &set);
    if (!why)
        return ag_expr_set(r->b, &set, r->mode.in_json);
    ag_charset_deinit(&set);
    return fail(r, from, why);
}

static const ag_expr *parse_item(reader *r) {
    size_t from = r->at;
    switch (peek(r)) {
    case '(':
        r->at++;
        return parse_group(r, from);
    case '[':
        return parse_class(r, from);
    case '\\':
        r->at++;
        return parse_escape(r, from);
    case '.':
        r->at++;
        return any_char(r, false);
    case '^':
        r->at++;
        return ag_expr_anchor(r->b, AG_EXPR_START);
    case '$':
        r->at++;
        return ag_expr_anchor(r->b, AG_EXPR_END);
    case '*':
    case '+':
    case '?':
        return fail(r, from, "there is nothing to repeat");
    default:
        break;
    }
    ag_utf8_step step = ag_utf8_next(ag_span_sub(r->t, r->at, r->t.n));
    r->at += step.n;
    return one_char(r, step.cp);
}

static bool parse_number(reader *r, uint32_t *n) {
    size_t from = r->at;
    uint64_t v = 0;
    for (; peek(r) >= '0' && peek(r) <= '9' && v <= UINT32_MAX; r->at++)
        v = v * 10 + (uint64_t)(peek(r) - '0');
    *n = v < AG_EXPR_MANY ? (uint32_t)v : AG_EXPR_MANY - 1;
    return r->at > from;
}

/* {m}, {m,}, {,n} or {m,n}; false and nothing taken when it is none, as then "{" is a character. */
static bool parse_bounds(reader *r, uint32_t *min, uint32_t *max) {
    size_t from = r->at;
    r->at++;
    bool low = parse_number(r, min);
    *min = low ? *min : 0;
    *max = *min;
    bool comma = take(r, ",");
    bool high = comma && parse_number(r, max);
    if (comma && !high)
        *max = AG_EXPR_MANY;
    if ((low || high) && take(r, "}"))
        return true;
    r->at = from;
    return false;
}

static const ag_expr *parse_repeated(reader *r) {
    size_t from = r->at;
    const ag_expr *e = parse_item(r);
    for (int n = 0; e; n++) {
        uint32_t min = 0, max = AG_EXPR_MANY;
        size_t at = r->at;
        if (take(r, "*")) {
        } else if (take(r, "+")) {
            min = 1;
        } else if (take(r, "?")) {
            max = 1;
        } else if (peek(r) != '{' || !parse_bounds(r, &min, &max)) {
            return e;
        }
        if (n > 0)
            return fail(r, at, "a repetition of a repetition: put it in a group");
        if (min > max)
            return fail(r, at, "the repetition's least is above its most");
        if (e->has_start || e->has_end)
            return fail(r, from, "\"^\" and \"$\" cannot be repeated");
        if (take(r, "+"))
            return fail(r, at, "possessive repetitions are not supported");
        take(r, "?"); /* greedy or not, the texts are the same */
        e = ag_expr_repeat(r->b, e, min, max);
    }
    return NULL;
}

static const ag_expr *parse_sequence(reader *r) {
    ag_parts parts = {0};
    while (r->at < r->t.n && peek(r) != '|' && peek(r) != ')' && !r->b->code)
        ag_parts_add(r->b, &parts, parse_repeated(r));
    return r->b->code ? NULL : ag_expr_seq(r->b, parts.v, parts.n);
}

static const ag_expr *parse_alternatives(reader *r) {
    ag_parts parts = {0};
    do
        ag_parts_add(r->b, &parts, parse_sequence(r));
    while (!r->b->code && take(r, "|"));
    return r->b->code ? NULL : ag_expr_alt(r->b, parts.v, parts.n);
}

/* ---- "^" and "$" ----------------------------------------------------------------------------- */

/* At the left (right) end of the whole: take anchors away, and where there is none let any text
 * come before (after), if `any` is given. What is left over stood elsewhere. */
static const ag_expr *settle(reader *r, const ag_expr *e, bool left, const ag_expr *any) {
    if (!e)
        return NULL;
    if (left ? !e->has_start : !e->has_end)
        return !any ? e : left ? AG_SEQ(r->b, any, e) : AG_SEQ(r->b, e, any);
    if (e->kind == (left ? AG_EXPR_START : AG_EXPR_END))
        return ag_expr_empty(r->b);
    ag_parts parts = {0};
    for (uint32_t i = 0; i < e->n; i++) {
        bool here = e->kind == AG_EXPR_ALT || i == (left ? 0 : e->n - 1);
        ag_parts_add(r->b, &parts, here ? settle(r, e->u.parts[i], left, any) : e->u.parts[i]);
    }
    return e->kind == AG_EXPR_ALT ? ag_expr_alt(r->b, parts.v, parts.n)
                                  : ag_expr_seq(r->b, parts.v, parts.n);
}

const ag_expr *ag_regex_parse(ag_build *b, ag_span text, ag_regex_mode mode) {
    reader r = {.b = b, .t = text, .mode = mode};
    size_t good = ag_utf8_valid_prefix(text);
    if (good < text.n)
        return fail(&r, good, "it is not valid UTF-8");
    const ag_expr *e = parse_alternatives(&r);
    if (e && r.at < text.n)
        return fail(&r, r.at, "\")\" without \"(\"");
    const ag_expr *any =
        mode.search ? ag_expr_repeat(b, any_char(&r, true), 0, AG_EXPR_MANY) : NULL;
    e = settle(&r, settle(&r, e, true, any), false, any);
    if (e && (e->has_start || e->has_end))
        return fail(&r, 0, "\"^\" and \"$\" are supported at the beginning and the end only");
    return e;
}
