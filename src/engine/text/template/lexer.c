#include "text/template/lexer.h"

#include "base/utf8.h"
#include "text/template/str.h"
#include "text/template/unescape.h"

#define MAX_OPEN 256 /* brackets open at once inside one tag */

typedef struct lexer {
    ag_arena *arena;
    ag_err *err;
    ag_span s; /* line ends are \n */
    size_t at;
    uint32_t line;
    bool line_starting; /* the token before ended with a newline */
    tpl_token *v;
    size_t n, room;
    char open[MAX_OPEN]; /* closing brackets that are waited for */
    size_t n_open;
} lexer;

static const struct {
    char text[3];
    tpl_token_kind kind;
} operators[] = {
    /* longer ones first */
    {"//", TOK_FLOORDIV}, {"**", TOK_POW},     {"==", TOK_EQ},    {"!=", TOK_NE},
    {">=", TOK_GE},       {"<=", TOK_LE},      {"+", TOK_ADD},    {"-", TOK_SUB},
    {"/", TOK_DIV},       {"*", TOK_MUL},      {"%", TOK_MOD},    {"~", TOK_TILDE},
    {"[", TOK_LBRACKET},  {"]", TOK_RBRACKET}, {"(", TOK_LPAREN}, {")", TOK_RPAREN},
    {"{", TOK_LBRACE},    {"}", TOK_RBRACE},   {">", TOK_GT},     {"<", TOK_LT},
    {"=", TOK_ASSIGN},    {".", TOK_DOT},      {":", TOK_COLON},  {"|", TOK_PIPE},
    {",", TOK_COMMA},     {";", TOK_SEMICOLON}};

const char *ag_tpl_token_name(tpl_token_kind kind) {
    switch (kind) {
    case TOK_EOF:
        return "end of template";
    case TOK_TEXT:
        return "text";
    case TOK_BLOCK_BEGIN:
        return "begin of statement block";
    case TOK_BLOCK_END:
        return "end of statement block";
    case TOK_PRINT_BEGIN:
        return "begin of print statement";
    case TOK_PRINT_END:
        return "end of print statement";
    case TOK_NAME:
        return "a name";
    case TOK_STRING:
        return "a string";
    case TOK_INT:
        return "an integer";
    case TOK_FLOAT:
        return "a number";
    default:
        for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
            if (operators[i].kind == kind)
                return operators[i].text;
        return "?";
    }
}

static ag_code no_memory(lexer *l) {
    return ag_fail(l->err, AG_E_NOMEM, "out of memory while parsing the chat template");
}

static ag_code push(lexer *l, tpl_token_kind kind, uint32_t line, ag_span text) {
    if (l->n == l->room) {
        size_t room = l->room ? l->room * 2 : 256;
        tpl_token *v = ag_arena_array(l->arena, room, sizeof *v);
        if (!v)
            return no_memory(l);
        if (l->n)
            memcpy(v, l->v, l->n * sizeof *v);
        l->v = v;
        l->room = room;
    }
    l->v[l->n++] = (tpl_token){kind, line, text};
    return AG_OK;
}

static bool looking_at(const lexer *l, size_t at, const char *what) {
    return ag_span_starts(ag_span_sub(l->s, at, l->s.n), ag_str(what));
}

/* Move to `to`, counting lines. */
static void advance(lexer *l, size_t to) {
    if (to > l->at)
        l->line_starting = l->s.p[to - 1] == '\n';
    for (; l->at < to; l->at++)
        l->line += l->s.p[l->at] == '\n';
}

static size_t space_at(ag_span s, size_t at) {
    if (at >= s.n)
        return 0;
    ag_utf8_step step = ag_utf8_next(ag_span_sub(s, at, s.n));
    return ag_tpl_is_space(step.cp) ? step.n : 0;
}

static size_t skip_space(ag_span s, size_t at) {
    for (size_t n; (n = space_at(s, at)) > 0;)
        at += n;
    return at;
}

static size_t strip_end(ag_span s, size_t from, size_t to) {
    while (to > from) {
        size_t at = to - 1;
        while (at > from && ((uint8_t)s.p[at] & 0xc0) == 0x80)
            at--;
        if (!space_at(s, at))
            break;
        to = at;
    }
    return to;
}

/* ---- text between tags ----------------------------------------------------------------------- */

/* `{% raw %}` at `at`: the offset behind it, or 0. *sign gets its white space control. */
static size_t raw_begin(const lexer *l, size_t at, char *sign) {
    size_t i = at + 2;
    *sign = i < l->s.n && (l->s.p[i] == '-' || l->s.p[i] == '+') ? l->s.p[i++] : 0;
    i = skip_space(l->s, i);
    if (!looking_at(l, i, "raw"))
        return 0;
    i = skip_space(l->s, i + 3);
    if (looking_at(l, i, "-%}"))
        return skip_space(l->s, i + 3);
    return looking_at(l, i, "%}") ? i + 2 : 0;
}

/* Emit the text in front of a tag at `end`, after the white space control of that tag. */
static ag_code emit_text(lexer *l, size_t end, char sign, bool is_print) {
    size_t stop = end;
    if (sign == '-') {
        stop = strip_end(l->s, l->at, end);
    } else if (sign != '+' && !is_print) {
        size_t line = end;
        while (line > l->at && l->s.p[line - 1] != '\n')
            line--;
        if ((line > l->at || l->line_starting) && skip_space(l->s, line) >= end)
            stop = line;
    }
    ag_span text = ag_span_sub(l->s, l->at, stop);
    return text.n ? push(l, TOK_TEXT, l->line, text) : AG_OK;
}

static size_t find_tag(const lexer *l, size_t at) {
    for (; at + 1 < l->s.n; at++)
        if (l->s.p[at] == '{' &&
            (l->s.p[at + 1] == '%' || l->s.p[at + 1] == '{' || l->s.p[at + 1] == '#'))
            return at;
    return l->s.n;
}

/* Where a tag that ends with "<c>}" at `at` leaves off, 0 when none ends there. */
static size_t tag_end(const lexer *l, size_t at, char c, bool plus, bool trim) {
    const char end[3] = {c, '}', 0}, minus[4] = {'-', c, '}', 0}, keep[4] = {'+', c, '}', 0};
    if (plus && looking_at(l, at, keep))
        return at + 3;
    if (looking_at(l, at, minus))
        return skip_space(l->s, at + 3);
    if (!looking_at(l, at, end))
        return 0;
    return at + 2 + (trim && looking_at(l, at + 2, "\n"));
}

static ag_code skip_comment(lexer *l) {
    uint32_t line = l->line;
    for (size_t at = l->at; at < l->s.n; at++) {
        size_t end = tag_end(l, at, '#', true, true);
        if (end) {
            advance(l, end);
            return AG_OK;
        }
    }
    return ag_fail(l->err, AG_E_TEMPLATE,
                   "chat template, line %u: the comment is not closed with '#}'", line);
}

/* The text of a raw block up to its endraw, which is subject to white space control too. */
static ag_code lex_raw(lexer *l) {
    for (size_t at = l->at; (at = find_tag(l, at)) < l->s.n; at++) {
        if (l->s.p[at + 1] != '%')
            continue;
        size_t i = at + 2;
        char sign = i < l->s.n && (l->s.p[i] == '-' || l->s.p[i] == '+') ? l->s.p[i++] : 0;
        i = skip_space(l->s, i);
        if (!looking_at(l, i, "endraw"))
            continue;
        size_t end = tag_end(l, skip_space(l->s, i + 6), '%', true, true);
        if (!end)
            continue;
        ag_code code = emit_text(l, at, sign, false);
        advance(l, end);
        return code;
    }
    return ag_fail(l->err, AG_E_TEMPLATE, "chat template, line %u: 'raw' has no 'endraw'", l->line);
}

/* ---- inside tags ----------------------------------------------------------------------------- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_hex(char c) { return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); }

/* Behind digits at `at`, with single underscores between them. */
static size_t digits(ag_span s, size_t at, bool (*is)(char)) {
    while (at < s.n && (is(s.p[at]) || (s.p[at] == '_' && at + 1 < s.n && is(s.p[at + 1]))))
        at++;
    return at;
}

static bool has_digit(ag_span s, size_t at) { return at < s.n && is_digit(s.p[at]); }

/* Behind the float at `at`, or 0. After a dot there is none: a.0.1 is two lookups. */
static size_t float_end(const lexer *l) {
    ag_span s = l->s;
    size_t at = l->at;
    if (at > 0 && s.p[at - 1] == '.')
        return 0;
    at = digits(s, at, is_digit);
    bool fraction = at < s.n && s.p[at] == '.' && has_digit(s, at + 1);
    if (fraction)
        at = digits(s, at + 1, is_digit);
    if (at < s.n && (s.p[at] | 0x20) == 'e') {
        size_t e = at + 1;
        if (e < s.n && (s.p[e] == '+' || s.p[e] == '-'))
            e++;
        if (has_digit(s, e))
            return digits(s, e, is_digit);
    }
    return fraction ? at : 0;
}

static bool is_zero(char c) { return c == '0'; }

static size_t int_end(const lexer *l) {
    ag_span s = l->s;
    size_t at = l->at;
    if (s.p[at] != '0')
        return digits(s, at, is_digit);
    char c = at + 1 < s.n ? (char)(s.p[at + 1] | 0x20) : 0;
    size_t from = at + 2;
    if ((c == 'x' || c == 'o' || c == 'b') && from < s.n) {
        size_t end = digits(s, from, c == 'x' ? is_hex : is_digit);
        if (end > from)
            return end;
    }
    return digits(s, at, is_zero);
}

static size_t name_end(ag_span s, size_t at) {
    while (at < s.n) {
        ag_utf8_step step = ag_utf8_next(ag_span_sub(s, at, s.n));
        bool word = step.cp == '_' ||
                    (step.cp < 0x80 ? is_digit((char)step.cp) ||
                                          ((step.cp | 0x20) >= 'a' && (step.cp | 0x20) <= 'z')
                                    : ag_tpl_cp_is(step.cp, TPL_CLASS_ALNUM));
        if (!word)
            break;
        at += step.n;
    }
    return at;
}

static ag_code unexpected(lexer *l) {
    ag_utf8_step step = ag_utf8_next(ag_span_sub(l->s, l->at, l->s.n));
    return ag_fail(l->err, AG_E_TEMPLATE, "chat template, line %u: unexpected character '%.*s'",
                   l->line, (int)step.n, l->s.p + l->at);
}

static ag_code lex_operator(lexer *l) {
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (!looking_at(l, l->at, operators[i].text))
            continue;
        char c = operators[i].text[0];
        if (c == '(' || c == '[' || c == '{') {
            if (l->n_open == MAX_OPEN)
                return ag_fail(l->err, AG_E_LIMIT,
                               "chat template, line %u: brackets are nested too deeply", l->line);
            l->open[l->n_open++] = c == '(' ? ')' : c == '[' ? ']' : '}';
        } else if (c == ')' || c == ']' || c == '}') {
            if (l->n_open == 0)
                return unexpected(l);
            if (l->open[--l->n_open] != c)
                return ag_fail(l->err, AG_E_TEMPLATE,
                               "chat template, line %u: unexpected '%c', expected '%c'", l->line, c,
                               l->open[l->n_open]);
        }
        ag_code code = push(l, operators[i].kind, l->line, (ag_span){0});
        advance(l, l->at + strlen(operators[i].text));
        return code;
    }
    return unexpected(l);
}

static ag_code lex_string(lexer *l) {
    char quote = l->s.p[l->at];
    size_t end = l->at + 1;
    while (end < l->s.n && l->s.p[end] != quote)
        end += l->s.p[end] == '\\' ? 2 : 1;
    if (end >= l->s.n)
        return unexpected(l);
    ag_span text;
    ag_code code =
        ag_tpl_unescape(l->arena, ag_span_sub(l->s, l->at + 1, end), l->line, &text, l->err);
    if (code == AG_OK)
        code = push(l, TOK_STRING, l->line, text);
    advance(l, end + 1);
    return code;
}

static ag_code lex_word(lexer *l, tpl_token_kind kind, size_t end) {
    ag_code code = push(l, kind, l->line, ag_span_sub(l->s, l->at, end));
    advance(l, end);
    return code;
}

/* One token inside a tag. */
static ag_code lex_token(lexer *l) {
    size_t end = skip_space(l->s, l->at);
    if (end > l->at) {
        advance(l, end);
        return AG_OK;
    }
    char c = l->s.p[l->at];
    if (is_digit(c)) {
        end = float_end(l);
        return end ? lex_word(l, TOK_FLOAT, end) : lex_word(l, TOK_INT, int_end(l));
    }
    end = name_end(l->s, l->at);
    if (end > l->at)
        return lex_word(l, TOK_NAME, end);
    return c == '\'' || c == '"' ? lex_string(l) : lex_operator(l);
}

/* Tokens up to the end of a tag. Its end only counts where no bracket is open. */
static ag_code lex_tag(lexer *l, bool is_print) {
    l->n_open = 0;
    while (l->at < l->s.n) {
        size_t end = l->n_open  ? 0
                     : is_print ? tag_end(l, l->at, '}', false, false)
                                : tag_end(l, l->at, '%', true, true);
        if (end) {
            ag_code code = push(l, is_print ? TOK_PRINT_END : TOK_BLOCK_END, l->line, (ag_span){0});
            advance(l, end);
            return code;
        }
        ag_code code = lex_token(l);
        if (code != AG_OK)
            return code;
    }
    return AG_OK; /* the parser meets the end of the template where it wants something else */
}

/* ---- the whole ------------------------------------------------------------------------------- */

static ag_code lex_one_tag(lexer *l, size_t tag) {
    char kind = l->s.p[tag + 1], sign;
    size_t raw = kind == '%' ? raw_begin(l, tag, &sign) : 0;
    if (!raw) {
        char c = tag + 2 < l->s.n ? l->s.p[tag + 2] : 0;
        sign = c == '-' || c == '+' ? c : 0;
    }
    ag_code code = emit_text(l, tag, sign, kind == '{');
    advance(l, raw ? raw : tag + 2 + (sign != 0));
    if (code != AG_OK || kind == '#')
        return code != AG_OK ? code : skip_comment(l);
    if (raw)
        return lex_raw(l);
    code = push(l, kind == '{' ? TOK_PRINT_BEGIN : TOK_BLOCK_BEGIN, l->line, (ag_span){0});
    return code != AG_OK ? code : lex_tag(l, kind == '{');
}

/* \r\n and \r become \n, and one newline at the very end is dropped. */
static ag_code normalise(lexer *l, ag_span source) {
    char *p = ag_arena_get(l->arena, source.n + 1);
    if (!p)
        return no_memory(l);
    size_t n = 0;
    for (size_t i = 0; i < source.n; i++) {
        if (source.p[i] == '\r' && i + 1 < source.n && source.p[i + 1] == '\n')
            continue;
        p[n++] = source.p[i] == '\r' ? '\n' : source.p[i];
    }
    if (n && p[n - 1] == '\n')
        n--;
    l->s = (ag_span){p, n};
    return AG_OK;
}

ag_code ag_tpl_lex(ag_arena *arena, ag_span source, tpl_token **out, size_t *n, ag_err *err) {
    lexer l = {.arena = arena, .err = err, .line = 1, .line_starting = true};
    ag_code code = normalise(&l, source);
    while (code == AG_OK && l.at < l.s.n) {
        size_t tag = find_tag(&l, l.at);
        if (tag < l.s.n) {
            code = lex_one_tag(&l, tag);
            continue;
        }
        code = push(&l, TOK_TEXT, l.line, ag_span_sub(l.s, l.at, l.s.n));
        advance(&l, l.s.n);
    }
    if (code == AG_OK)
        code = push(&l, TOK_EOF, l.line, (ag_span){0});
    *out = l.v;
    *n = l.n;
    return code;
}
