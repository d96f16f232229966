/* Tests: what may stand after `is`. */
#include "text/template/filter.h"

static const char *const no_names[] = {NULL};

/* A test without arguments. */
#define TEST(name, text, condition)                                                                \
    static bool test_##name(tpl_run *r, tpl_value v, const tpl_args *args) {                       \
        (void)v;                                                                                   \
        return ag_tpl_bind(r, text, args, no_names, 0, NULL) && (condition);                       \
    }

static bool is_sequence(tpl_value v) {
    size_t n;
    /* Views of a dict have a length but cannot be indexed. */
    return v.kind != TPL_VIEW && ag_tpl_length(v, &n);
}

static bool is_callable(tpl_value v) {
    return v.kind == TPL_MACRO || v.kind == TPL_FUNC || v.kind == TPL_METHOD ||
           v.kind == TPL_LOOP || v.kind == TPL_JOINER || v.kind == TPL_UNDEFINED;
}

static bool is_multiple(tpl_run *r, tpl_value v, tpl_value of, tpl_int rest) {
    return ag_tpl_equal(r, ag_tpl_binary(r, TOK_MOD, v, of), tpl_integer(rest));
}

static bool has_case(tpl_run *r, tpl_value v, bool (*is)(const tpl_str *s)) {
    const tpl_str *s = ag_tpl_to_str(r, v);
    return s && is(s);
}

TEST(defined, "defined", v.kind != TPL_UNDEFINED)
TEST(undefined, "undefined", v.kind == TPL_UNDEFINED)
TEST(none, "none", v.kind == TPL_NONE)
TEST(boolean, "boolean", v.kind == TPL_BOOL)
TEST(true, "true", v.kind == TPL_BOOL && v.b)
TEST(false, "false", v.kind == TPL_BOOL && !v.b)
TEST(integer, "integer", v.kind == TPL_INT)
TEST(float, "float", v.kind == TPL_FLOAT)
TEST(number, "number", tpl_is_number(v))
TEST(string, "string", v.kind == TPL_STR)
TEST(mapping, "mapping", v.kind == TPL_DICT)
TEST(sequence, "sequence", is_sequence(v))
TEST(iterable, "iterable", ag_tpl_is_iterable(v) || v.kind == TPL_LOOP)
TEST(callable, "callable", is_callable(v))
TEST(escaped, "escaped", v.kind == TPL_STR && v.s->markup)
TEST(lower, "lower", has_case(r, v, ag_tpl_str_is_lower))
TEST(upper, "upper", has_case(r, v, ag_tpl_str_is_upper))
TEST(odd, "odd", is_multiple(r, v, tpl_integer(2), 1))
TEST(even, "even", is_multiple(r, v, tpl_integer(2), 0))
TEST(filter, "filter", v.kind == TPL_STR && ag_tpl_find_filter(tpl_span(v.s)))
TEST(test, "test", v.kind == TPL_STR && ag_tpl_find_test(tpl_span(v.s)))

/* The one argument of a test; false after a failure. */
static bool other(tpl_run *r, const tpl_args *args, tpl_value *out) {
    static const char *const names[] = {"other", NULL};
    return ag_tpl_bind(r, "test", args, names, 1, out);
}

static bool test_divisibleby(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {"num", NULL};
    tpl_value num;
    return ag_tpl_bind(r, "divisibleby", args, names, 1, &num) && is_multiple(r, v, num, 0);
}

static bool test_in(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {"seq", NULL};
    tpl_value seq;
    return ag_tpl_bind(r, "in", args, names, 1, &seq) && ag_tpl_contains(r, seq, v);
}

/* Identity: small values are the same object when they are equal and of one type. */
static bool test_sameas(tpl_run *r, tpl_value v, const tpl_args *args) {
    tpl_value o;
    if (!other(r, args, &o) || v.kind != o.kind)
        return false;
    switch (v.kind) {
    case TPL_NONE:
    case TPL_BOOL:
    case TPL_INT:
    case TPL_FLOAT:
    case TPL_STR:
        return ag_tpl_equal(r, v, o);
    default:
        return v.d == o.d;
    }
}

static bool test_eq(tpl_run *r, tpl_value v, const tpl_args *args) {
    tpl_value o;
    return other(r, args, &o) && ag_tpl_equal(r, v, o);
}
static bool test_ne(tpl_run *r, tpl_value v, const tpl_args *args) {
    tpl_value o;
    return other(r, args, &o) && !ag_tpl_equal(r, v, o);
}
static bool ordered(tpl_run *r, tpl_token_kind op, tpl_value v, const tpl_args *args) {
    tpl_value o;
    return other(r, args, &o) && ag_tpl_test_order(r, op, v, o);
}
static bool test_gt(tpl_run *r, tpl_value v, const tpl_args *args) {
    return ordered(r, TOK_GT, v, args);
}
static bool test_ge(tpl_run *r, tpl_value v, const tpl_args *args) {
    return ordered(r, TOK_GE, v, args);
}
static bool test_lt(tpl_run *r, tpl_value v, const tpl_args *args) {
    return ordered(r, TOK_LT, v, args);
}
static bool test_le(tpl_run *r, tpl_value v, const tpl_args *args) {
    return ordered(r, TOK_LE, v, args);
}

static const tpl_test tests[] = {
    {"defined", test_defined},
    {"undefined", test_undefined},
    {"none", test_none},
    {"boolean", test_boolean},
    {"true", test_true},
    {"false", test_false},
    {"integer", test_integer},
    {"float", test_float},
    {"number", test_number},
    {"string", test_string},
    {"mapping", test_mapping},
    {"sequence", test_sequence},
    {"iterable", test_iterable},
    {"callable", test_callable},
    {"escaped", test_escaped},
    {"lower", test_lower},
    {"upper", test_upper},
    {"odd", test_odd},
    {"even", test_even},
    {"filter", test_filter},
    {"test", test_test},
    {"divisibleby", test_divisibleby},
    {"in", test_in},
    {"sameas", test_sameas},
    {"eq", test_eq},
    {"==", test_eq},
    {"equalto", test_eq},
    {"ne", test_ne},
    {"!=", test_ne},
    {"gt", test_gt},
    {">", test_gt},
    {"greaterthan", test_gt},
    {"ge", test_ge},
    {">=", test_ge},
    {"lt", test_lt},
    {"<", test_lt},
    {"lessthan", test_lt},
    {"le", test_le},
    {"<=", test_le},
};

const tpl_test *ag_tpl_find_test(ag_span name) {
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        if (ag_span_is(name, tests[i].name))
            return &tests[i];
    return NULL;
}
