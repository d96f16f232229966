/* Arithmetic, with Python's types and rounding. */
#include <math.h>

#include "text/template/filter.h"

static tpl_value too_large(tpl_run *r) {
    return ag_tpl_fail(r, "the integer is larger than 128 bits");
}

static tpl_value unsupported(tpl_run *r, const char *op, tpl_value a, tpl_value b) {
    if (a.kind == TPL_UNDEFINED || b.kind == TPL_UNDEFINED)
        return ag_tpl_fail_undefined(r, a.kind == TPL_UNDEFINED ? a : b);
    return ag_tpl_fail(r, "unsupported operand types for %s: '%s' and '%s'", op,
                       ag_tpl_type_name(a), ag_tpl_type_name(b));
}

/* ---- integers -------------------------------------------------------------------------------- */

#define MIN_INT ((tpl_int)((tpl_uint)1 << 127))

static tpl_int floor_div(tpl_int a, tpl_int b) {
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static tpl_value int_pow(tpl_run *r, tpl_int base, tpl_int exponent) {
    if (exponent < 0)
        return base == 0 ? ag_tpl_fail(r, "0 cannot be raised to a negative power")
                         : tpl_float(pow((double)base, (double)exponent));
    tpl_int result = 1;
    if (base == 0 || base == 1 || base == -1)
        return tpl_integer(exponent == 0 ? 1 : base == -1 && exponent % 2 == 0 ? 1 : base);
    for (; exponent > 0; exponent--)
        if (__builtin_mul_overflow(result, base, &result))
            return too_large(r);
    return tpl_integer(result);
}

static tpl_value int_arith(tpl_run *r, tpl_token_kind op, tpl_int a, tpl_int b) {
    tpl_int c;
    bool over = false;
    if ((op == TOK_DIV || op == TOK_FLOORDIV || op == TOK_MOD) && b == 0)
        return ag_tpl_fail(r, "division by zero");
    switch (op) {
    case TOK_ADD:
        over = __builtin_add_overflow(a, b, &c);
        break;
    case TOK_SUB:
        over = __builtin_sub_overflow(a, b, &c);
        break;
    case TOK_MUL:
        over = __builtin_mul_overflow(a, b, &c);
        break;
    case TOK_DIV:
        return tpl_float((double)a / (double)b);
    case TOK_POW:
        return int_pow(r, a, b);
    default: /* MIN_INT / -1 does not fit */
        over = a == MIN_INT && b == -1;
        c = over ? 0 : op == TOK_FLOORDIV ? floor_div(a, b) : a - floor_div(a, b) * b;
    }
    return over ? too_large(r) : tpl_integer(c);
}

/* ---- floats ---------------------------------------------------------------------------------- */

static double float_mod(double a, double b) {
    double m = fmod(a, b);
    if (m != 0 && (m < 0) != (b < 0))
        return m + b;
    return m != 0 ? m : copysign(0.0, b);
}

static tpl_value float_pow(tpl_run *r, double a, double b) {
    if (a == 0 && b < 0)
        return ag_tpl_fail(r, "0.0 cannot be raised to a negative power");
    double c = pow(a, b);
    if (isnan(c) && !isnan(a) && !isnan(b))
        return ag_tpl_fail(r, "the power is a complex number");
    if (isinf(c) && !isinf(a) && !isinf(b))
        return ag_tpl_fail(r, "the power is too large");
    return tpl_float(c);
}

static tpl_value float_arith(tpl_run *r, tpl_token_kind op, double a, double b) {
    if ((op == TOK_DIV || op == TOK_FLOORDIV || op == TOK_MOD) && b == 0)
        return ag_tpl_fail(r, "division by zero");
    switch (op) {
    case TOK_ADD:
        return tpl_float(a + b);
    case TOK_SUB:
        return tpl_float(a - b);
    case TOK_MUL:
        return tpl_float(a * b);
    case TOK_DIV:
        return tpl_float(a / b);
    case TOK_POW:
        return float_pow(r, a, b);
    case TOK_MOD:
        return tpl_float(float_mod(a, b));
    default: { /* exact where a / b alone would round up to the next integer */
        double mod = fmod(a, b), q = (a - mod) / b;
        if (mod != 0 && (mod < 0) != (b < 0))
            q -= 1;
        double whole = floor(q);
        return tpl_float(q == 0 ? copysign(0.0, a / b) : q - whole > 0.5 ? whole + 1 : whole);
    }
    }
}

/* ---- sequences ------------------------------------------------------------------------------- */

static tpl_value repeat(tpl_run *r, tpl_value v, tpl_value times) {
    tpl_int n = tpl_to_int(times);
    size_t each = v.kind == TPL_STR ? v.s->n : v.l->n;
    if (n < 0)
        n = 0;
    /* The product is paid for before anything is made. */
    if (each && n > (tpl_int)(SIZE_MAX / 2 / each)) {
        ag_tpl_spend(r, UINT64_MAX);
        return tpl_undef();
    }
    if (!ag_tpl_spend(r, (uint64_t)n + (uint64_t)n * each / 64))
        return tpl_undef();
    if (v.kind == TPL_STR) {
        tpl_builder b = tpl_builder_of(r);
        for (tpl_int i = 0; i < n && !tpl_failed(r); i++)
            tpl_add_all(&b, v.s);
        return tpl_string(ag_tpl_str_as(r, ag_tpl_built(&b), v.s->markup));
    }
    size_t count = each * (size_t)n;
    tpl_value *items = ag_tpl_alloc(r, count, sizeof *items);
    for (size_t i = 0; items && i < count; i++)
        items[i] = v.l->v[i % each];
    return ag_tpl_list(r, v.kind, items, count);
}

static tpl_value join_lists(tpl_run *r, tpl_value a, tpl_value b) {
    size_t n = a.l->n + b.l->n;
    tpl_value *v = ag_tpl_alloc(r, n, sizeof *v);
    if (!v || !ag_tpl_spend(r, n / 16))
        return tpl_undef();
    if (a.l->n)
        memcpy(v, a.l->v, a.l->n * sizeof *v);
    if (b.l->n)
        memcpy(v + a.l->n, b.l->v, b.l->n * sizeof *v);
    return ag_tpl_list(r, a.kind, v, n);
}

static bool repeats(tpl_value v) {
    return v.kind == TPL_STR || v.kind == TPL_LIST || v.kind == TPL_TUPLE;
}

tpl_value ag_tpl_binary(tpl_run *r, tpl_token_kind op, tpl_value a, tpl_value b) {
    if (tpl_failed(r))
        return tpl_undef();
    if (tpl_is_int(a) && tpl_is_int(b))
        return int_arith(r, op, tpl_to_int(a), tpl_to_int(b));
    if (tpl_is_number(a) && tpl_is_number(b))
        return float_arith(r, op, tpl_to_float(a), tpl_to_float(b));
    if (op == TOK_ADD && a.kind == TPL_STR && b.kind == TPL_STR)
        return tpl_string(ag_tpl_str_concat(r, a.s, b.s));
    if (op == TOK_ADD && a.kind == b.kind && (a.kind == TPL_LIST || a.kind == TPL_TUPLE))
        return join_lists(r, a, b);
    if (op == TOK_MUL && repeats(a) && tpl_is_int(b))
        return repeat(r, a, b);
    if (op == TOK_MUL && tpl_is_int(a) && repeats(b))
        return repeat(r, b, a);
    if (op == TOK_MOD && a.kind == TPL_STR)
        return ag_tpl_percent(r, a.s, b);
    return unsupported(r, ag_tpl_token_name(op), a, b);
}

tpl_value ag_tpl_negate(tpl_run *r, tpl_value a, bool negative) {
    if (tpl_failed(r))
        return tpl_undef();
    if (a.kind == TPL_FLOAT)
        return tpl_float(negative ? -a.f : a.f);
    if (tpl_is_int(a) && (!negative || tpl_to_int(a) != MIN_INT))
        return tpl_integer(negative ? -tpl_to_int(a) : tpl_to_int(a));
    if (tpl_is_int(a))
        return too_large(r);
    if (a.kind == TPL_UNDEFINED)
        return ag_tpl_fail_undefined(r, a);
    return ag_tpl_fail(r, "bad operand type for unary %c: '%s'", negative ? '-' : '+',
                       ag_tpl_type_name(a));
}

bool ag_tpl_test_order(tpl_run *r, tpl_token_kind op, tpl_value a, tpl_value b) {
    int c = ag_tpl_compare(r, a, b, ag_tpl_token_name(op));
    if (tpl_failed(r) || c == 2)
        return false;
    switch (op) {
    case TOK_LT:
        return c < 0;
    case TOK_LE:
        return c <= 0;
    case TOK_GT:
        return c > 0;
    default:
        return c >= 0;
    }
}
