/* Escapes and classes of characters, shared by regular expressions and GBNF. */
#include "base/hash.h"
#include "base/utf8.h"
#include "grammar/charset.h"
#include "grammar/regex.h"

static int hex_value(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* n digits, or {digits} where braces are allowed. */
static const char *parse_hex(ag_span t, size_t *at, unsigned n, uint32_t *c) {
    bool braces = *at < t.n && t.p[*at] == '{';
    unsigned most = braces ? 8 : n, got = 0;
    *at += braces;
    *c = 0;
    for (; got < most && *at < t.n && hex_value(t.p[*at]) >= 0; got++)
        *c = *c << 4 | (uint32_t)hex_value(t.p[(*at)++]);
    if (braces ? got == 0 || *at >= t.n || t.p[*at] != '}' : got != n)
        return "hexadecimal digits are missing";
    *at += braces;
    return *c > AG_CHAR_LAST || (*c >= 0xD800 && *c <= 0xDFFF) ? "there is no such character"
                                                               : NULL;
}

static void add_ascii_class(ag_charset *set, char kind) {
    ag_charset s = {0};
    switch (kind | 0x20) {
    case 'd':
        ag_charset_add(&s, '0', '9');
        break;
    case 'w':
        ag_charset_add(&s, '0', '9');
        ag_charset_add(&s, 'A', 'Z');
        ag_charset_add(&s, 'a', 'z');
        ag_charset_add(&s, '_', '_');
        break;
    default:
        ag_charset_add(&s, '\t', '\r');
        ag_charset_add(&s, ' ', ' ');
    }
    if (!(kind & 0x20))
        ag_charset_invert(&s);
    ag_charset_add_set(set, &s);
    ag_charset_deinit(&s);
}

/* {Name}, {^Name}, {Script=Name} or one letter, behind \p or \P. */
static const char *parse_property(ag_span t, size_t *at, bool negated, ag_charset *set) {
    ag_span name = ag_span_sub(t, *at, *at + 1);
    if (*at < t.n && t.p[*at] == '{') {
        size_t close = ag_span_find(t, ag_str("}"), *at);
        if (close == SIZE_MAX)
            return "the property's \"}\" is missing";
        name = ag_span_sub(t, *at + 1, close);
        *at = close + 1;
    } else {
        *at += name.n;
    }
    if (name.n && name.p[0] == '^') {
        negated = !negated;
        name = ag_span_sub(name, 1, name.n);
    }
    size_t is = ag_span_find(name, ag_str("="), 0);
    if (is != SIZE_MAX)
        name = ag_span_sub(name, is + 1, name.n);
    ag_charset s = {0};
    bool known = name.n > 0 && ag_charset_add_property(&s, name);
    if (negated)
        ag_charset_invert(&s);
    ag_charset_add_set(set, &s);
    ag_charset_deinit(&s);
    return known ? NULL : "this property of characters is not known here";
}

const char *ag_escape_parse(ag_span t, size_t *at, ag_charset *set, bool *is_class, uint32_t *c) {
    static const char plain[] = "n\nt\tr\rf\fv\v0\0a\ae\x1b";
    *is_class = false;
    if (*at >= t.n)
        return "nothing follows the backslash";
    char e = t.p[*at];
    if (strchr("dDwWsS", e) && e) {
        ++*at;
        *is_class = true;
        add_ascii_class(set, e);
        return NULL;
    }
    if (e == 'p' || e == 'P') {
        ++*at;
        *is_class = true;
        return parse_property(t, at, e == 'P', set);
    }
    for (size_t i = 0; i + 1 < sizeof plain; i += 2)
        if (plain[i] == e) {
            ++*at;
            *c = (uint8_t)plain[i + 1];
            return NULL;
        }
    if (e == 'x' || e == 'u' || e == 'U') {
        ++*at;
        return parse_hex(t, at, e == 'x' ? 2 : e == 'u' ? 4 : 8, c);
    }
    bool letter = (e >= 'a' && e <= 'z') || (e >= 'A' && e <= 'Z');
    if (letter || (e >= '1' && e <= '9'))
        return letter ? "this escape is not supported" : "back references are not supported";
    ag_utf8_step step = ag_utf8_next(ag_span_sub(t, *at, t.n));
    *at += step.n;
    *c = step.cp;
    return NULL;
}

/* One end of a range, or a class. */
static const char *parse_member(ag_span t, size_t *at, ag_charset *set, bool *is_class,
                                uint32_t *c) {
    *is_class = false;
    if (t.p[*at] == '\\') {
        ++*at;
        if (*at < t.n && t.p[*at] == 'b') { /* inside a class it is the backspace */
            ++*at;
            *c = '\b';
            return NULL;
        }
        return ag_escape_parse(t, at, set, is_class, c);
    }
    if (t.p[*at] == '[' && *at + 1 < t.n && t.p[*at + 1] == ':')
        return "classes like [:alpha:] are not supported; write a-zA-Z";
    ag_utf8_step step = ag_utf8_next(ag_span_sub(t, *at, t.n));
    *at += step.n;
    *c = step.cp;
    return NULL;
}

static const char *parse_members(ag_span t, size_t *at, ag_charset *set) {
    for (size_t first = *at; *at < t.n;) {
        if (t.p[*at] == ']' && *at > first)
            return NULL;
        if (t.p[*at] == ']' && *at == first) /* [] and [^]: nothing, and anything */
            return NULL;
        bool is_class = false;
        uint32_t lo = 0, hi = 0;
        const char *why = parse_member(t, at, set, &is_class, &lo);
        if (why)
            return why;
        if (is_class)
            continue;
        hi = lo;
        if (*at + 1 < t.n && t.p[*at] == '-' && t.p[*at + 1] != ']') {
            ++*at;
            why = parse_member(t, at, set, &is_class, &hi);
            if (why || is_class || hi < lo)
                return why ? why : "the range ends before it begins";
        }
        ag_charset_add(set, lo, hi);
    }
    return "the class is not closed: \"]\" is missing";
}

const char *ag_class_parse(ag_span t, size_t *at, ag_charset *set) {
    bool negated = *at + 1 < t.n && t.p[*at + 1] == '^';
    *at += 1 + negated;
    const char *why = parse_members(t, at, set);
    if (why)
        return why;
    ++*at; /* "]" */
    if (negated)
        ag_charset_invert(set);
    else
        ag_charset_settle(set);
    return set->failed == AG_E_GRAMMAR ? "the class has too many ranges" : NULL;
}

/* The set is settled. */
static const ag_expr *new_set(ag_build *b, const ag_charset *set, bool in_json) {
    ag_atom *atom = NULL;
    ag_err err = {0};
    if (!ag_build_spend(b, 1000 + (uint64_t)set->n * 256))
        return NULL;
    if (ag_charset_atom(set, in_json ? AG_CHARS_IN_JSON : AG_CHARS_PLAIN, &atom, &err))
        return ag_build_fail(b, err.code, "%s", err.msg);
    return ag_expr_atom(b, atom);
}

const ag_expr *ag_expr_set(ag_build *b, ag_charset *set, bool in_json) {
    ag_charset_settle(set);
    uint64_t hash = ag_hash64(set->v, set->n * sizeof *set->v, 1 + in_json) | 1;
    ag_known_set *known = &b->sets[hash >> 32 & (AG_KNOWN_SETS - 1)];
    const ag_expr *e = NULL;
    if (!set->failed && known->hash == hash) {
        e = ag_expr_atom_again(b, known->atom);
    } else {
        e = new_set(b, set, in_json);
        if (e && e->kind == AG_EXPR_ATOM)
            *known = (ag_known_set){hash, e->u.index};
    }
    ag_charset_deinit(set);
    return e;
}
