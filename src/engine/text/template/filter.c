/* Finds filters, and those that take and give numbers or any value. */
#include "text/template/filter.h"

#include <math.h>

#include "text/template/number.h"

static tpl_value filter_default(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {"default_value", "boolean", NULL};
    tpl_value a[2];
    if (!ag_tpl_bind(r, "default", args, names, 0, a))
        return tpl_undef();
    if (v.kind != TPL_UNDEFINED && !(ag_tpl_truth(a[1]) && !ag_tpl_truth(v)))
        return v;
    return a[0].kind == TPL_MISSING ? ag_tpl_text(r, "") : a[0];
}

static bool text_to_int(const tpl_str *s, tpl_int base, tpl_int *out) {
    double f;
    if (base >= 0 && base <= 36 && ag_tpl_parse_int(tpl_span(s), (unsigned)base, out))
        return true;
    if (!ag_tpl_parse_float(tpl_span(s), &f) || isnan(f) || isinf(f) || fabs(f) > 1e38)
        return false;
    *out = (tpl_int)f;
    return true;
}

static tpl_value filter_int(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {"default", "base", NULL};
    tpl_value a[2];
    tpl_int i;
    if (!ag_tpl_bind(r, "int", args, names, 0, a))
        return tpl_undef();
    tpl_int base = ag_tpl_int_arg(r, "int", a[1], 10);
    if (tpl_is_int(v))
        return tpl_integer(tpl_to_int(v));
    if (v.kind == TPL_UNDEFINED)
        return ag_tpl_fail_undefined(r, v);
    if (v.kind == TPL_FLOAT && (isinf(v.f) || fabs(v.f) > 1e38))
        return ag_tpl_fail(r, "int: the number is too large");
    if (v.kind == TPL_FLOAT && !isnan(v.f))
        return tpl_integer((tpl_int)v.f);
    if (v.kind == TPL_STR && text_to_int(v.s, base, &i))
        return tpl_integer(i);
    return a[0].kind == TPL_MISSING ? tpl_integer(0) : a[0];
}

static tpl_value filter_float(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {"default", NULL};
    tpl_value a;
    double f;
    if (!ag_tpl_bind(r, "float", args, names, 0, &a))
        return tpl_undef();
    if (v.kind == TPL_UNDEFINED)
        return ag_tpl_fail_undefined(r, v);
    if (tpl_is_number(v))
        return tpl_float(tpl_to_float(v));
    if (v.kind == TPL_STR && ag_tpl_parse_float(tpl_span(v.s), &f))
        return tpl_float(f);
    return a.kind == TPL_MISSING ? tpl_float(0) : a;
}

static tpl_value filter_abs(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {NULL};
    if (!ag_tpl_bind(r, "abs", args, names, 0, NULL))
        return tpl_undef();
    if (!tpl_is_number(v))
        return v.kind == TPL_UNDEFINED
                   ? ag_tpl_fail_undefined(r, v)
                   : ag_tpl_fail(r, "abs needs a number, not %s", ag_tpl_type_name(v));
    return ag_tpl_negate(r, v, tpl_to_float(v) < 0);
}

/* Python rounds the exact binary value, ties to even; so does printf. */
static double round_to(double f, tpl_int digits) {
    char text[400];
    double rounded = f;
    if (digits > 300 || isnan(f) || isinf(f))
        return f;
    if (digits < 0) {
        double unit = pow(10, -(double)digits);
        return isinf(unit) ? 0.0 * f : nearbyint(f / unit) * unit;
    }
    size_t n = ag_tpl_float_format(text, sizeof text, "%.*f", (int)digits, f);
    if (!ag_tpl_parse_float(ag_span_of(text, n), &rounded))
        return f;
    return rounded;
}

static tpl_value filter_round(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {"precision", "method", NULL};
    tpl_value a[2];
    if (!ag_tpl_bind(r, "round", args, names, 0, a))
        return tpl_undef();
    tpl_int digits = ag_tpl_int_arg(r, "round", a[0], 0);
    const tpl_str *method = ag_tpl_str_arg(r, "round", a[1], false);
    ag_span how = method ? tpl_span(method) : ag_str("common");
    bool up = ag_span_is(how, "ceil"), down = ag_span_is(how, "floor");
    if (!up && !down && !ag_span_is(how, "common"))
        return ag_tpl_fail(r, "round: method must be common, ceil or floor");
    if (!tpl_is_number(v))
        return v.kind == TPL_UNDEFINED
                   ? ag_tpl_fail_undefined(r, v)
                   : ag_tpl_fail(r, "round needs a number, not %s", ag_tpl_type_name(v));
    if (!up && !down)
        return tpl_is_int(v) && digits >= 0 ? tpl_integer(tpl_to_int(v))
                                            : tpl_float(round_to(tpl_to_float(v), digits));
    double unit = pow(10, (double)digits), scaled = tpl_to_float(v) * unit;
    return tpl_float((up ? ceil(scaled) : floor(scaled)) / unit);
}

static const tpl_filter value_filters[] = {{"default", filter_default},
                                           {"d", filter_default},
                                           {"int", filter_int},
                                           {"float", filter_float},
                                           {"abs", filter_abs},
                                           {"round", filter_round},
                                           {"tojson", ag_tpl_filter_tojson},
                                           {"from_json", ag_tpl_filter_from_json},
                                           {NULL, NULL}};

const tpl_filter *ag_tpl_find_filter(ag_span name) {
    const tpl_filter *const tables[] = {value_filters, ag_tpl_text_filters, ag_tpl_list_filters,
                                        ag_tpl_pick_filters};
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const tpl_filter *f = tables[t]; f->name; f++)
            if (ag_span_is(name, f->name))
                return f;
    return NULL;
}
