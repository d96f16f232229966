#include "text/template/number.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

size_t ag_tpl_int_text(tpl_int i, char out[TPL_NUMBER_TEXT]) {
    char digits[TPL_NUMBER_TEXT];
    size_t n = 0, at = 0;
    tpl_uint u = i < 0 ? -(tpl_uint)i : (tpl_uint)i;
    do
        digits[n++] = (char)('0' + (int)(u % 10));
    while (u /= 10);
    if (i < 0)
        out[at++] = '-';
    while (n)
        out[at++] = digits[--n];
    out[at] = '\0';
    return at;
}

/* A host program may have set a locale with a decimal comma. "C" for all categories is a constant
 * in glibc, so this allocates nothing. */
static locale_t c_locale(void) { return newlocale(LC_ALL_MASK, "C", (locale_t)0); }

size_t ag_tpl_float_format(char *out, size_t room, const char *fmt, int precision, double f) {
    locale_t c = c_locale(), old = uselocale(c);
    int n = snprintf(out, room, fmt, precision, f);
    uselocale(old);
    freelocale(c);
    return n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

static double parse_c(const char *s, char **end) {
    locale_t c = c_locale();
    double f = strtod_l(s, end, c);
    freelocale(c);
    return f;
}

size_t ag_tpl_float_text(double f, char out[TPL_NUMBER_TEXT]) {
    if (isnan(f) || isinf(f)) {
        const char *name = isnan(f) ? "nan" : f < 0 ? "-inf" : "inf";
        memcpy(out, name, strlen(name) + 1);
        return strlen(name);
    }
    char e[TPL_NUMBER_TEXT]; /* d.ddde±xx with as few digits as it takes */
    for (int precision = 0; precision < 17; precision++) {
        ag_tpl_float_format(e, sizeof e, "%.*e", precision, f);
        if (parse_c(e, NULL) == f)
            break;
    }
    char digits[24];
    size_t n = 0, at = 0;
    const char *c = e;
    for (; *c != 'e'; c++)
        if (*c >= '0' && *c <= '9')
            digits[n++] = *c;
    int exponent = (int)strtol(c + 1, NULL, 10);
    while (n > 1 && digits[n - 1] == '0')
        n--;
    if (e[0] == '-')
        out[at++] = '-';
    if (exponent < -4 || exponent >= 16) {
        out[at++] = digits[0];
        if (n > 1) {
            out[at++] = '.';
            memcpy(out + at, digits + 1, n - 1);
            at += n - 1;
        }
        return at + (size_t)snprintf(out + at, TPL_NUMBER_TEXT - at, "e%c%02d",
                                     exponent < 0 ? '-' : '+', abs(exponent));
    }
    int whole = exponent + 1; /* digits before the point */
    if (whole <= 0) {
        out[at++] = '0';
        out[at++] = '.';
        for (int i = whole; i < 0; i++)
            out[at++] = '0';
        memcpy(out + at, digits, n);
        at += n;
    } else {
        for (int i = 0; i < whole || i <= (int)n - 1; i++) {
            if (i == whole)
                out[at++] = '.';
            out[at++] = (size_t)i < n ? digits[i] : '0';
        }
        if ((int)n <= whole) {
            out[at++] = '.';
            out[at++] = '0';
        }
    }
    out[at] = '\0';
    return at;
}

static ag_span strip(ag_span s) {
    while (s.n && ag_tpl_is_space((uint8_t)s.p[0]))
        s = ag_span_sub(s, 1, s.n);
    while (s.n && ag_tpl_is_space((uint8_t)s.p[s.n - 1]))
        s.n--;
    return s;
}

static unsigned digit_of(char c) {
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    c |= 0x20;
    return c >= 'a' && c <= 'z' ? (unsigned)(c - 'a') + 10 : 99;
}

/* Take off 0x, 0o or 0b where it belongs to the base (0: where the text says which). */
static bool take_prefix(ag_span *s, unsigned *base) {
    if (s->n < 2 || s->p[0] != '0')
        return false;
    char c = (char)(s->p[1] | 0x20);
    unsigned of = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 0;
    if (!of || (*base != of && *base != 0))
        return false;
    *base = of;
    *s = ag_span_sub(*s, 2, s->n);
    if (s->n && s->p[0] == '_')
        *s = ag_span_sub(*s, 1, s->n);
    return true;
}

bool ag_tpl_parse_int(ag_span s, unsigned base, tpl_int *out) {
    s = strip(s);
    bool negative = s.n && s.p[0] == '-';
    if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
        s = ag_span_sub(s, 1, s.n);
    bool prefixed = take_prefix(&s, &base);
    if (base == 0) {
        base = 10;
        if (s.n > 1 && s.p[0] == '0' && !prefixed)
            for (size_t i = 0; i < s.n; i++)
                if (s.p[i] != '0' && s.p[i] != '_')
                    return false;
    }
    if (s.n == 0 || base < 2 || base > 36)
        return false;
    tpl_int value = 0;
    bool after_digit = false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '_' && after_digit && i + 1 < s.n) {
            after_digit = false;
            continue;
        }
        unsigned d = digit_of(s.p[i]);
        if (d >= base || __builtin_mul_overflow(value, (tpl_int)base, &value) ||
            __builtin_add_overflow(value, (tpl_int)d, &value))
            return false;
        after_digit = true;
    }
    *out = negative ? -value : value;
    return true;
}

/* The characters that make up decimal floats, so that strtod's hex and nan(...) are not taken. */
static bool is_float_text(const char *s) {
    static const char *const words[] = {"inf", "infinity", "nan"};
    if (*s == '+' || *s == '-')
        s++;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(s, words[i]) == 0)
            return true;
    return *s && s[strspn(s, "0123456789.eE+-")] == '\0';
}

bool ag_tpl_parse_float(ag_span s, double *out) {
    char text[512]; /* longer numbers do not occur, and their tail could not matter much */
    size_t n = 0;
    s = strip(s);
    if (s.n >= sizeof text)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        bool inner = i > 0 && i + 1 < s.n && digit_of(s.p[i - 1]) < 10 && digit_of(s.p[i + 1]) < 10;
        if (s.p[i] != '_')
            text[n++] = s.p[i];
        else if (!inner)
            return false;
    }
    text[n] = '\0';
    char *end;
    if (n == 0 || strlen(text) != n || !is_float_text(text))
        return false;
    *out = parse_c(text, &end);
    return *end == '\0';
}
