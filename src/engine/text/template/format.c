/* Formatting: "%s" % values and "{}".format(values), for strings, integers and floats. Fields of
 * format may go into items ({0[key]}) and attributes ({0.name}), with the sandbox's view. */
#include <math.h>
#include <stdio.h>

#include "text/template/filter.h"
#include "text/template/number.h"

#define MAX_WIDTH 100000 /* of one field */

typedef struct spec {
    const tpl_str *fill; /* NULL: a space */
    char align;          /* < > ^ =, or 0 */
    char sign;           /* + - space, or 0 */
    bool alternate, zero, comma;
    tpl_int width, precision; /* precision -1: not given */
    char type;
} spec;

/* ---- one field ------------------------------------------------------------------------------- */

static void add_fill(tpl_run *r, tpl_builder *b, const spec *s, tpl_int n) {
    for (tpl_int i = 0; i < n && ag_tpl_spend(r, 1); i++) {
        if (s->fill)
            tpl_add_all(b, s->fill);
        else
            ag_tpl_adds(b, s->zero ? "0" : " ");
    }
}

/* `body` padded; its first `sign` bytes stay in front of `=` padding. */
static void add_padded(tpl_run *r, tpl_builder *b, const spec *s, const tpl_str *body, size_t sign,
                       char align) {
    if (!body)
        return;
    tpl_int n = s->width - (tpl_int)ag_tpl_str_length(body);
    if (s->align)
        align = s->align;
    tpl_int before = n <= 0 || align == '<' ? 0 : align == '^' ? n / 2 : n;
    size_t head = align == '=' ? sign : 0;
    ag_tpl_add_part(b, body, 0, head);
    add_fill(r, b, s, before);
    ag_tpl_add_part(b, body, head, body->n);
    add_fill(r, b, s, n - before);
}

/* The digits of a number with its sign, thousands separated if asked, padded. */
static void add_number(tpl_run *r, tpl_builder *b, const spec *s, bool negative, const char *prefix,
                       const char *digits) {
    tpl_builder n = tpl_builder_of(r);
    char sign[2] = {negative ? '-' : s->sign == '+' || s->sign == ' ' ? s->sign : 0, 0};
    ag_tpl_adds(&n, sign);
    ag_tpl_adds(&n, prefix);
    size_t head = strlen(sign) + strlen(prefix), whole = strspn(digits, "0123456789");
    for (size_t i = 0; s->comma && i < whole; i++) {
        if (i && (whole - i) % 3 == 0)
            ag_tpl_adds(&n, ",");
        ag_tpl_add(&n, digits + i, 1, false);
    }
    ag_tpl_adds(&n, digits + (s->comma ? whole : 0));
    add_padded(r, b, s, ag_tpl_built(&n), head, s->zero && !s->align ? '=' : '>');
}

static void add_integer(tpl_run *r, tpl_builder *b, const spec *s, tpl_int i) {
    char digits[160];
    unsigned base = s->type == 'x' || s->type == 'X' ? 16
                    : s->type == 'o'                 ? 8
                    : s->type == 'b'                 ? 2
                                                     : 10;
    const char *prefix = !s->alternate ? ""
                         : base == 16  ? (s->type == 'x' ? "0x" : "0X")
                         : base == 8   ? "0o"
                         : base == 2   ? "0b"
                                       : "";
    const char *set = s->type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    tpl_uint u = i < 0 ? -(tpl_uint)i : (tpl_uint)i;
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do
        digits[--at] = set[(unsigned)(u % base)];
    while (u /= base);
    add_number(r, b, s, i < 0, prefix, digits + at);
}

static void add_float(tpl_run *r, tpl_builder *b, const spec *s, double f) {
    char text[1024], format[8] = "%.*";
    char type = s->type == '%' ? 'f' : s->type ? s->type : 'g';
    int precision = s->precision < 0 ? 6 : (int)(s->precision > 300 ? 300 : s->precision);
    double size = fabs(s->type == '%' ? f * 100 : f);
    if (isnan(f) || isinf(f)) {
        bool upper = type == 'F' || type == 'E' || type == 'G';
        add_number(r, b, s, f < 0, "", isnan(f) ? (upper ? "NAN" : "nan") : upper ? "INF" : "inf");
        return;
    }
    if (!s->type && s->precision < 0) {
        ag_tpl_float_text(size, text);
    } else {
        size_t at = 3;
        if (s->alternate) {
            memcpy(format, "%#.*", 4);
            at = 4;
        }
        format[at] = type;
        size_t n = ag_tpl_float_format(text, sizeof text - 1, format, precision, size);
        if (s->type == '%') {
            text[n] = '%';
            text[n + 1] = '\0';
        }
    }
    add_number(r, b, s, signbit(f) != 0, "", text);
}

static void add_text(tpl_run *r, tpl_builder *b, const spec *s, const tpl_str *text) {
    if (text && s->precision >= 0 && s->precision < (tpl_int)text->n)
        text = ag_tpl_str_sub(r, text, 0, ag_tpl_offset(text, (size_t)s->precision));
    add_padded(r, b, s, text, 0, '<');
}

static bool is_float_type(char c) { return c && strchr("eEfFgG%", c); }

/* format(v, spec) */
static void add_value(tpl_run *r, tpl_builder *b, const spec *s, tpl_value v, bool plain) {
    if (tpl_is_number(v) && is_float_type(s->type))
        add_float(r, b, s, tpl_to_float(v));
    else if (v.kind == TPL_FLOAT && (!s->type || s->type == 'n') && !plain)
        add_float(r, b, s, v.f);
    else if (tpl_is_int(v) && s->type == 'c')
        ag_tpl_add_cp(b, (uint32_t)tpl_to_int(v), false);
    else if (tpl_is_int(v) &&
             (s->type ? strchr("dboxXn", s->type) != NULL : v.kind == TPL_INT && !plain))
        add_integer(r, b, s, tpl_to_int(v));
    else if (v.kind == TPL_STR ? !s->type || s->type == 's' : plain)
        add_text(r, b, s, ag_tpl_to_str(r, v));
    else
        ag_tpl_fail(r, "unknown format code '%c' for object of type '%s'", s->type ? s->type : ' ',
                    ag_tpl_type_name(v));
}

/* ---- % --------------------------------------------------------------------------------------- */

typedef struct percent {
    tpl_run *r;
    const tpl_str *f;
    size_t at;
    tpl_value values;
    size_t used; /* values taken */
} percent;

static tpl_value take_value(percent *p) {
    if (p->values.kind == TPL_TUPLE && p->used < p->values.l->n)
        return p->values.l->v[p->used++];
    if (p->values.kind != TPL_TUPLE && p->used++ == 0)
        return p->values;
    return ag_tpl_fail(p->r, "not enough arguments for format string");
}

static char peek_char(const percent *p) { return p->at < p->f->n ? p->f->p[p->at] : 0; }

/* Digits, or a `*` that takes a value. */
static tpl_int take_number(percent *p) {
    tpl_int n = 0;
    if (peek_char(p) == '*') {
        p->at++;
        n = ag_tpl_int_arg(p->r, "%", take_value(p), 0);
    }
    while (peek_char(p) >= '0' && peek_char(p) <= '9' && n <= MAX_WIDTH)
        n = n * 10 + (p->f->p[p->at++] - '0');
    if (n > MAX_WIDTH)
        ag_tpl_fail(p->r, "the width of a format is too large");
    return n;
}

/* %(key)s: the value under key, MISSING when there is no key. */
static tpl_value take_key(percent *p) {
    if (peek_char(p) != '(')
        return tpl_missing();
    size_t from = ++p->at;
    while (p->at < p->f->n && p->f->p[p->at] != ')')
        p->at++;
    if (p->values.kind != TPL_DICT)
        return ag_tpl_fail(p->r, "format requires a mapping");
    tpl_str key = {.p = p->f->p + from, .n = p->at - from};
    p->at++;
    const tpl_value *v = ag_tpl_dict_find_text(p->values.d, tpl_span(&key));
    return v ? *v : ag_tpl_fail(p->r, "the key '%.*s' is missing", AG_SPAN(tpl_span(&key)));
}

static void take_flags(percent *p, spec *s) {
    for (;; p->at++) {
        switch (peek_char(p)) {
        case '-':
            s->align = '<';
            break;
        case '+':
        case ' ':
            s->sign = s->sign == '+' ? '+' : peek_char(p);
            break;
        case '#':
            s->alternate = true;
            break;
        case '0':
            s->zero = true;
            break;
        default:
            return;
        }
    }
}

static void add_converted(percent *p, tpl_builder *b, spec *s, char type, tpl_value v) {
    tpl_run *r = p->r;
    tpl_builder repr = tpl_builder_of(r);
    bool integer = strchr("diuoxXc", type) != NULL;
    if (strchr("sra", type)) {
        s->zero = false;
        s->align = s->align ? s->align : '>';
        if (type == 's')
            ag_tpl_add_str(r, &repr, v);
        else
            ag_tpl_add_repr(r, &repr, v);
        add_text(r, b, s, ag_tpl_str_soft(r, p->f, ag_tpl_built(&repr)));
        return;
    }
    if (!tpl_is_number(v) && !(type == 'c' && v.kind == TPL_STR)) {
        ag_tpl_fail(r, "%%%c format: a number is required, not %s", type, ag_tpl_type_name(v));
        return;
    }
    if (integer && v.kind == TPL_FLOAT) {
        if (!strchr("diu", type) || isnan(v.f) || fabs(v.f) > 1e38)
            ag_tpl_fail(r, "%%%c format: an integer is required, not float", type);
        else
            v = tpl_integer((tpl_int)v.f);
    }
    if (s->align)
        s->zero = false;
    s->type = type == 'i' || type == 'u' ? 'd' : type;
    if (v.kind == TPL_STR)
        add_text(r, b, s, v.s);
    else if (!tpl_failed(r))
        add_value(r, b, s, v, false);
}

static void percent_field(percent *p, tpl_builder *b) {
    spec s = {.precision = -1};
    tpl_value v = take_key(p);
    take_flags(p, &s);
    s.width = take_number(p);
    if (s.width < 0) {
        s.align = '<';
        s.width = -s.width;
    }
    if (peek_char(p) == '.') {
        p->at++;
        s.precision = take_number(p);
    }
    char type = peek_char(p);
    p->at++;
    if (type == '%') {
        ag_tpl_adds(b, "%");
    } else if (!type || !strchr("diuoxXceEfFgGsra", type)) {
        ag_tpl_fail(p->r, "incomplete or unsupported format character");
    } else {
        if (v.kind == TPL_MISSING)
            v = take_value(p);
        if (!tpl_failed(p->r))
            add_converted(p, b, &s, type, v);
    }
}

/* What Python takes for a mapping here need not be used up. */
static bool is_mapping_like(tpl_kind kind) {
    return kind == TPL_DICT || kind == TPL_LIST || kind == TPL_RANGE || kind == TPL_UNDEFINED;
}

tpl_value ag_tpl_percent(tpl_run *r, const tpl_str *format, tpl_value values) {
    percent p = {.r = r, .f = format, .values = values};
    tpl_builder b = tpl_builder_of(r);
    while (p.at < format->n && ag_tpl_spend(r, 1)) {
        const char *next = memchr(format->p + p.at, '%', format->n - p.at);
        size_t end = next ? (size_t)(next - format->p) : format->n;
        ag_tpl_add_part(&b, format, p.at, end);
        p.at = end + 1;
        if (next)
            percent_field(&p, &b);
    }
    bool all_used =
        values.kind == TPL_TUPLE ? p.used == values.l->n : p.used || is_mapping_like(values.kind);
    if (!all_used)
        return ag_tpl_fail(r, "not all arguments converted during string formatting");
    return tpl_string(ag_tpl_str_as(r, ag_tpl_built(&b), format->markup));
}

/* ---- format ---------------------------------------------------------------------------------- */

typedef struct fields {
    tpl_run *r;
    const tpl_str *f;
    const tpl_args *args;
    tpl_int next; /* automatic number; -1: numbered by hand */
    unsigned depth;
} fields;

static void add_fields(fields *p, tpl_builder *b, size_t from, size_t to);

static tpl_value numbered(fields *p, ag_span name) {
    tpl_int i = p->next;
    if (name.n == 0) {
        if (i < 0)
            return ag_tpl_fail(p->r, "cannot mix manual and automatic field numbering");
        p->next++;
    } else if (ag_tpl_parse_int(name, 10, &i)) {
        if (p->next > 0)
            return ag_tpl_fail(p->r, "cannot mix manual and automatic field numbering");
        p->next = -1;
    } else {
        for (size_t k = 0; k < p->args->n_kw; k++)
            if (ag_span_eq(tpl_span(p->args->names[k]), name))
                return p->args->kw[k];
        return ag_tpl_fail(p->r, "format: no argument named '%.*s'", AG_SPAN(name));
    }
    if (i < 0 || i >= (tpl_int)p->args->n)
        return ag_tpl_fail(p->r, "replacement index out of range for positional arguments");
    return p->args->pos[i];
}

static size_t find_any(ag_span s, size_t from, const char *set) {
    while (from < s.n && !(s.p[from] && strchr(set, s.p[from])))
        from++;
    return from;
}

/* "name.attr[key]..." */
static tpl_value field_value(fields *p, ag_span path) {
    size_t at = find_any(path, 0, ".[");
    tpl_value v = numbered(p, ag_span_sub(path, 0, at));
    while (at < path.n && ag_tpl_spend(p->r, 1)) {
        bool item = path.p[at] == '[';
        size_t end = find_any(path, at + 1, item ? "]" : ".[");
        const tpl_str *name = ag_tpl_str(p->r, path.p + at + 1, end - at - 1, false);
        tpl_int index;
        if (!name)
            break;
        if (item && ag_tpl_parse_int(tpl_span(name), 10, &index))
            v = ag_tpl_get_item(p->r, v, tpl_integer(index));
        else
            v = item ? ag_tpl_get_item(p->r, v, tpl_string(name)) : ag_tpl_get_attr(p->r, v, name);
        at = end + item;
    }
    return v;
}

/* [[fill]align][sign][#][0][width][,][.precision][type] */
static bool parse_spec(tpl_run *r, const tpl_str *t, spec *s) {
    size_t at = 0, n = 0;
    if (t->n)
        ag_tpl_cp(t, 0, &n);
    if (n && n < t->n && t->p[n] && strchr("<>=^", t->p[n])) {
        s->fill = ag_tpl_str_sub(r, t, 0, n);
        s->align = t->p[n];
        at = n + 1;
    } else if (n && t->p[0] && strchr("<>=^", t->p[0])) {
        s->align = t->p[0];
        at = 1;
    }
#define AT(set) (at < t->n && t->p[at] && strchr(set, t->p[at]))
    if (AT("+- "))
        s->sign = t->p[at++];
    if (AT("#"))
        s->alternate = at++ < t->n;
    if (AT("0"))
        s->zero = at++ < t->n;
    for (; AT("0123456789") && s->width <= MAX_WIDTH; at++)
        s->width = s->width * 10 + (t->p[at] - '0');
    if (AT(","))
        s->comma = at++ < t->n;
    if (AT("."))
        for (at++, s->precision = 0; AT("0123456789") && s->precision <= MAX_WIDTH; at++)
            s->precision = s->precision * 10 + (t->p[at] - '0');
    if (AT("bcdeEfFgGnosxX%"))
        s->type = t->p[at++];
#undef AT
    if (at < t->n || s->width > MAX_WIDTH || s->precision > MAX_WIDTH)
        ag_tpl_fail(r, "invalid format specifier '%.*s'", AG_SPAN(tpl_span(t)));
    return !tpl_failed(r);
}

/* The field in bytes [from, to) of the format: "path!conversion:spec". */
static void add_field(fields *p, tpl_builder *b, size_t from, size_t to) {
    tpl_run *r = p->r;
    ag_span field = ag_span_sub(tpl_span(p->f), from, to);
    size_t end = find_any(field, 0, "!:"), colon = find_any(field, end, ":");
    tpl_value v = field_value(p, ag_span_sub(field, 0, end));
    spec s = {.precision = -1};
    tpl_builder nested = tpl_builder_of(r);
    if (colon < field.n)
        add_fields(p, &nested, from + colon + 1, to);
    const tpl_str *text = ag_tpl_built(&nested);
    if (!text || !parse_spec(r, text, &s))
        return;
    bool plain = end < colon && end + 1 < field.n;
    if (plain) {
        tpl_builder converted = tpl_builder_of(r);
        if (field.p[end + 1] == 's')
            ag_tpl_add_str(r, &converted, v);
        else if (field.p[end + 1] == 'r')
            ag_tpl_add_repr(r, &converted, v);
        else
            ag_tpl_fail(r, "unknown conversion in a format string");
        v = tpl_string(ag_tpl_built(&converted));
    }
    if (v.kind == TPL_STR && p->f->markup)
        v = tpl_string(ag_tpl_str_escape(r, v.s));
    if (s.zero && v.kind == TPL_STR && !s.align)
        s.align = '<';
    if (!tpl_failed(r))
        add_value(r, b, &s, v, text->n == 0);
}

/* Behind the brace that closes the field opened before `at`; 0 when there is none. */
static size_t field_end(const tpl_str *f, size_t at, size_t to) {
    for (size_t depth = 1; at < to; at++) {
        depth += f->p[at] == '{';
        depth -= f->p[at] == '}';
        if (depth == 0)
            return at;
    }
    return 0;
}

static void add_fields(fields *p, tpl_builder *b, size_t from, size_t to) {
    const tpl_str *f = p->f;
    if (p->depth >= 2) {
        ag_tpl_fail(p->r, "max string recursion exceeded");
        return;
    }
    p->depth++;
    for (size_t at = from; at < to && ag_tpl_spend(p->r, 1);) {
        size_t brace = find_any(ag_span_sub(tpl_span(f), 0, to), at, "{}");
        ag_tpl_add_part(b, f, at, brace);
        at = brace;
        if (at >= to)
            break;
        if (at + 1 < to && f->p[at + 1] == f->p[at]) {
            ag_tpl_add_part(b, f, at, at + 1);
            at += 2;
            continue;
        }
        size_t end = f->p[at] == '{' ? field_end(f, at + 1, to) : 0;
        if (!end) {
            ag_tpl_fail(p->r, "single '%c' encountered in format string", f->p[at]);
            break;
        }
        add_field(p, b, at + 1, end);
        at = end + 1;
    }
    p->depth--;
}

tpl_value ag_tpl_format(tpl_run *r, const tpl_str *format, const tpl_args *args) {
    fields p = {.r = r, .f = format, .args = args};
    tpl_builder b = tpl_builder_of(r);
    add_fields(&p, &b, 0, format->n);
    return tpl_string(ag_tpl_str_as(r, ag_tpl_built(&b), format->markup));
}
