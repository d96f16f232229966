/* Numbers: minimum, maximum, exclusive ones, multipleOf. A bounded number is written as a decimal
 * without an exponent, digit by digit within its bounds. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "grammar/atoms_of.h"
#include "grammar/regex.h"
#include "grammar/schema_parts.h"

#define MOST_DIGITS 18 /* of an integer part */

/* A bound on one side, not below zero: "12" and "5" for 12.5. */
typedef struct bound {
    bool given, open; /* open: the number itself is not allowed */
    char whole[24];
    char fraction[24]; /* no zeros at its end */
} bound;

/* ---- digits -----------------------------------------------------------------------------------
 */

static const ag_expr *digit(ag_build *b, char lo, char hi) {
    ag_charset set = {0};
    ag_charset_add(&set, (uint32_t)lo, (uint32_t)hi);
    return lo > hi ? ag_expr_nothing(b) : ag_expr_set(b, &set, false);
}

static const ag_expr *digits(ag_build *b, size_t n) {
    return ag_expr_repeat(b, digit(b, '0', '9'), (uint32_t)n, (uint32_t)n);
}

/* Numbers of n digits from lo to hi, both of n digits. */
static const ag_expr *same_length(ag_build *b, const char *lo, const char *hi, size_t n) {
    if (strspn(lo, "0") >= n && strspn(hi, "9") >= n)
        return digits(b, n);
    if (lo[0] == hi[0])
        return AG_SEQ(b, digit(b, lo[0], lo[0]), same_length(b, lo + 1, hi + 1, n - 1));
    char zeros[24], nines[24];
    memset(zeros, '0', n);
    memset(nines, '9', n);
    zeros[n] = nines[n] = 0;
    return AG_ALT(b, AG_SEQ(b, digit(b, lo[0], lo[0]), same_length(b, lo + 1, nines, n - 1)),
                  AG_SEQ(b, digit(b, (char)(lo[0] + 1), (char)(hi[0] - 1)), digits(b, n - 1)),
                  AG_SEQ(b, digit(b, hi[0], hi[0]), same_length(b, zeros, hi + 1, n - 1)));
}

static int compare(const char *a, const char *b) {
    size_t n = strlen(a), m = strlen(b);
    return n != m ? (n > m) - (n < m) : strcmp(a, b);
}

/* Whole numbers from lo to hi, which are not negative. */
static const ag_expr *between(ag_build *b, const char *lo, const char *hi) {
    ag_parts parts = {0};
    if (compare(lo, hi) > 0)
        return ag_expr_nothing(b);
    for (size_t n = strlen(lo); n <= strlen(hi); n++) {
        char least[24] = "1", most[24];
        memset(least + 1, '0', n - 1);
        memset(most, '9', n);
        least[n] = most[n] = 0;
        ag_parts_add(b, &parts,
                     same_length(b, n == strlen(lo) ? lo : least, n == strlen(hi) ? hi : most, n));
    }
    return ag_expr_alt(b, parts.v, parts.n);
}

static void add_one(char *whole, int by) {
    snprintf(whole, 24, "%lld", strtoll(whole, NULL, 10) + by);
}

/* ---- fractions --------------------------------------------------------------------------------
 */

typedef struct fraction_walk {
    ag_drawing d;
    const bound *lo, *hi;                     /* NULL: not bounded on this side */
    uint32_t state[2][2][AG_JSON_DIGITS + 1]; /* 1 + state: above lo, below hi, digits read */
} fraction_walk;

/* Is the number whose digits so far were read, with zeros behind, within the bounds? */
static bool is_within(const fraction_walk *w, bool above, bool below, size_t n) {
    if (w->lo && !above && (strlen(w->lo->fraction) > n || w->lo->open))
        return false;
    return !w->hi || below || strlen(w->hi->fraction) > n || !w->hi->open;
}

static char digit_at(const bound *b, size_t i) {
    return b && i < strlen(b->fraction) ? b->fraction[i] : '0';
}

static uint32_t fraction_state(fraction_walk *w, bool above, bool below, size_t n) {
    uint32_t *known = &w->state[above][below][n];
    if (*known || w->d.failed)
        return *known - 1;
    uint32_t at = ag_drawing_state(&w->d, n > 0 && is_within(w, above, below, n));
    *known = at + 1;
    for (char c = '0'; c <= '9' && n < AG_JSON_DIGITS; c++) {
        bool is_above = above || !w->lo, is_below = below || !w->hi;
        if ((!is_above && c < digit_at(w->lo, n)) || (!is_below && c > digit_at(w->hi, n)))
            continue;
        uint32_t to = fraction_state(w, is_above || c > digit_at(w->lo, n),
                                     is_below || c < digit_at(w->hi, n), n + 1);
        ag_drawing_edge(&w->d, at, (uint8_t)c, (uint8_t)c, to);
    }
    return at;
}

/* What may follow a whole part that equals that of the bounds given: nothing, or "." and digits. */
static const ag_expr *fraction(ag_build *b, const bound *lo, const bound *hi, bool whole_only) {
    fraction_walk w = {.lo = lo && lo->given ? lo : NULL, .hi = hi && hi->given ? hi : NULL};
    bool none = is_within(&w, !w.lo, !w.hi, 0);
    if (whole_only)
        return none ? ag_expr_empty(b) : ag_expr_nothing(b);
    ag_atom *atom = NULL;
    ag_err err = {0};
    fraction_state(&w, false, false, 0);
    if (ag_drawing_finish(&w.d, &atom, &err))
        return ag_build_fail(b, err.code, "%s", err.msg);
    const ag_expr *some = AG_SEQ(b, ag_expr_text(b, "."), ag_expr_atom(b, atom));
    return none ? ag_expr_maybe(b, some) : some;
}

/* Decimals from lo to hi, neither negative. */
static const ag_expr *decimals(ag_build *b, const bound *lo, const bound *hi, bool whole_only) {
    char least[24], most[24];
    snprintf(least, sizeof least, "%s", lo->given ? lo->whole : "0");
    snprintf(most, sizeof most, "%s", hi->given ? hi->whole : "999999999999999999");
    int order = compare(least, most);
    if (order > 0)
        return ag_expr_nothing(b);
    if (order == 0)
        return AG_SEQ(b, ag_expr_text(b, least), fraction(b, lo, hi, whole_only));
    ag_parts parts = {0};
    ag_parts_add(b, &parts, AG_SEQ(b, ag_expr_text(b, least), fraction(b, lo, NULL, whole_only)));
    ag_parts_add(b, &parts, AG_SEQ(b, ag_expr_text(b, most), fraction(b, NULL, hi, whole_only)));
    add_one(least, 1);
    add_one(most, -1);
    ag_parts_add(b, &parts,
                 AG_SEQ(b, between(b, least, most), fraction(b, NULL, NULL, whole_only)));
    return ag_expr_alt(b, parts.v, parts.n);
}

/* ---- bounds -----------------------------------------------------------------------------------
 */

typedef struct range {
    bool has_lo, has_hi, lo_open, hi_open;
    double lo, hi;
} range;

/* |x| as the shortest decimal that reads back as the same number. */
static bool as_bound(double x, bool open, bound *out) {
    char text[400] = "0";
    *out = (bound){.given = true, .open = open};
    for (int places = 0; places <= 20; places++) {
        snprintf(text, sizeof text, "%.*f", places, fabs(x));
        if (strtod(text, NULL) == fabs(x))
            break;
    }
    char *point = strchr(text, '.');
    if (point) {
        *point++ = 0;
        size_t n = strlen(point);
        while (n > 0 && point[n - 1] == '0')
            point[--n] = 0;
        snprintf(out->fraction, sizeof out->fraction, "%s", point);
    }
    snprintf(out->whole, sizeof out->whole, "%.20s", text);
    return strlen(text) <= MOST_DIGITS;
}

static bool take_bound(ag_schema *s, json_t *node, const char *key, double *out) {
    json_t *value = json_object_get(node, key);
    if (!value || json_is_boolean(value)) /* draft 4 had exclusiveMinimum: true; see read_range() */
        return false;
    if (!json_is_number(value))
        ag_schema_fail(s, key, "expected a number");
    *out = json_number_value(value);
    return true;
}

static bool read_range(ag_schema *s, json_t *node, range *r) {
    double x = 0;
    *r = (range){.lo_open = json_is_true(json_object_get(node, "exclusiveMinimum")),
                 .hi_open = json_is_true(json_object_get(node, "exclusiveMaximum"))};
    r->has_lo = take_bound(s, node, "minimum", &r->lo);
    r->has_hi = take_bound(s, node, "maximum", &r->hi);
    if (take_bound(s, node, "exclusiveMinimum", &x) && (!r->has_lo || x >= r->lo)) {
        r->has_lo = r->lo_open = true;
        r->lo = x;
    }
    if (take_bound(s, node, "exclusiveMaximum", &x) && (!r->has_hi || x <= r->hi)) {
        r->has_hi = r->hi_open = true;
        r->hi = x;
    }
    /* A bound beyond what is written is none, or leaves nothing. */
    if (r->has_lo && r->lo <= -1e18)
        r->has_lo = false;
    if (r->has_hi && r->hi >= 1e18)
        r->has_hi = false;
    return !s->b->code;
}

static const ag_expr *bounded(ag_schema *s, const range *r, bool whole_only) {
    ag_build *b = s->b;
    const bound zero = {.given = true, .whole = "0"}, above_zero = {true, true, "0", ""};
    bound lo = {0}, hi = {0};
    ag_parts parts = {0};
    if ((r->has_lo && fabs(r->lo) >= 1e18) || (r->has_hi && fabs(r->hi) >= 1e18))
        return ag_expr_nothing(b);
    if (!r->has_hi || r->hi >= 0) { /* numbers from 0 on */
        if (r->has_lo && r->lo >= 0)
            as_bound(r->lo, r->lo_open, &lo);
        else
            lo = zero;
        if (r->has_hi)
            as_bound(r->hi, r->hi_open, &hi);
        ag_parts_add(b, &parts, decimals(b, &lo, &hi, whole_only));
    }
    if (!r->has_lo || r->lo < 0) { /* those below: the same mirrored */
        bound near = above_zero, far = {0};
        if (r->has_hi && r->hi < 0)
            as_bound(r->hi, r->hi_open, &near);
        if (r->has_lo)
            as_bound(r->lo, r->lo_open, &far);
        ag_parts_add(b, &parts,
                     AG_SEQ(b, ag_expr_text(b, "-"), decimals(b, &near, &far, whole_only)));
    }
    return b->code ? NULL : ag_expr_alt(b, parts.v, parts.n);
}

/* ---- multiples --------------------------------------------------------------------------------
 */

/* Whole numbers of up to `most` digits that k divides, written without zeros in front. */
static const ag_expr *multiples(ag_build *b, uint32_t k, uint32_t most) {
    ag_drawing d = {0};
    uint32_t start = ag_drawing_state(&d, false), minus = ag_drawing_state(&d, false);
    uint32_t zero = ag_drawing_state(&d, true), first = d.n;
    for (uint32_t i = 0; i < k * most && !d.failed; i++)
        ag_drawing_state(&d, i % k == 0);
    ag_drawing_edge(&d, start, '-', '-', minus);
    ag_drawing_edge(&d, start, '0', '0', zero);
    for (uint32_t c = 1; c < 10 && !d.failed; c++) {
        ag_drawing_edge(&d, start, (uint8_t)('0' + c), (uint8_t)('0' + c), first + c % k);
        ag_drawing_edge(&d, minus, (uint8_t)('0' + c), (uint8_t)('0' + c), first + c % k);
    }
    for (uint32_t n = 0; n + 1 < most; n++)
        for (uint32_t r = 0; r < k && !d.failed; r++)
            for (uint32_t c = 0; c < 10; c++)
                ag_drawing_edge(&d, first + n * k + r, (uint8_t)('0' + c), (uint8_t)('0' + c),
                                first + (n + 1) * k + (r * 10 + c) % k);
    ag_atom *atom = NULL;
    ag_err err = {0};
    if (ag_drawing_finish(&d, &atom, &err))
        return ag_build_fail(b, err.code, "%s", err.msg);
    return ag_expr_atom(b, atom);
}

static const ag_expr *whole_multiples(ag_schema *s, uint32_t k, const range *r) {
    ag_build *b = s->b;
    uint32_t most = (AG_ATOM_STATES - 8) / k;
    most = most > MOST_DIGITS ? MOST_DIGITS : most;
    double reach = fmax(r->has_lo ? fabs(r->lo) : 0, r->has_hi ? fabs(r->hi) : 0);
    if (most < 1 || reach >= pow(10, most))
        return ag_schema_fail(s, "multipleOf", "%u is too large for these bounds", k);
    const ag_expr *all = multiples(b, k, most);
    if (!r->has_lo && !r->has_hi)
        return all;
    ag_atom *atom = NULL;
    ag_err err = {0};
    const ag_atom *x = ag_build_atom(b, all), *y = ag_build_atom(b, bounded(s, r, true));
    if (!x || !y)
        return NULL;
    if (ag_atom_both(x, y, &b->work_left, &atom, &err))
        return ag_schema_fail_as(s, "multipleOf", &err);
    return ag_expr_atom(b, atom);
}

/* Numbers with up to `places` digits behind the point. */
static const ag_expr *decimal_places(ag_schema *s, uint32_t places) {
    char pattern[96];
    snprintf(pattern, sizeof pattern, "-?(0|[1-9][0-9]{0,%u})(\\.[0-9]{1,%u})?", AG_JSON_DIGITS - 1,
             places);
    return ag_regex_parse(s->b, ag_str(pattern), (ag_regex_mode){0});
}

static const ag_expr *multiple_of(ag_schema *s, double k, const range *r, bool integer) {
    if (!(k > 0))
        return ag_schema_fail(s, "multipleOf", "expected a number above 0");
    if (k == floor(k) && k <= AG_ATOM_STATES)
        return whole_multiples(s, (uint32_t)k, r);
    for (uint32_t places = 1; places <= 9 && !integer; places++)
        if (fabs(k * pow(10, places) - 1) < 1e-9 && !r->has_lo && !r->has_hi)
            return decimal_places(s, places);
    return ag_schema_fail(s, "multipleOf",
                          "supported are whole numbers up to %u, and 0.1, 0.01, ... without bounds",
                          AG_ATOM_STATES);
}

/* ---- the whole --------------------------------------------------------------------------------
 */

const ag_expr *ag_schema_number_type(ag_schema *s, json_t *node, bool integer) {
    range r;
    json_t *multiple = json_object_get(node, "multipleOf");
    char pattern[64];
    if (!read_range(s, node, &r))
        return NULL;
    if (multiple && !json_is_number(multiple))
        return ag_schema_fail(s, "multipleOf", "expected a number above 0");
    if (multiple && !(json_number_value(multiple) == 1 && integer))
        return multiple_of(s, json_number_value(multiple), &r, integer);
    if (r.has_lo || r.has_hi)
        return bounded(s, &r, integer);
    if (!integer)
        return ag_gjson_number(s->b);
    snprintf(pattern, sizeof pattern, "-?(0|[1-9][0-9]{0,%u})", AG_JSON_DIGITS - 1);
    return ag_regex_parse(s->b, ag_str(pattern), (ag_regex_mode){0});
}
