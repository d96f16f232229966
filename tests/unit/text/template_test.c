/* The template interpreter against the reference, its errors, its budgets, and provenance. */
#include "base/file.h"
#include "base/limits.h"
#include "text/template/template.h"
#include "unit/test.h"

#define CASES "tests/golden/templates/"

static const struct tm now = {.tm_year = 125,
                              .tm_mon = 2,
                              .tm_mday = 9,
                              .tm_hour = 14,
                              .tm_min = 5,
                              .tm_sec = 7,
                              .tm_yday = 67};

typedef struct result {
    ag_code code;
    ag_err err;
    ag_buf out, marks;
} result;

static void result_free(result *r) {
    ag_buf_deinit(&r->out);
    ag_buf_deinit(&r->marks);
}

static result render_with(ag_span source, const json_t *trusted, const json_t *user,
                          const ag_template_limits *limits) {
    result r = {0};
    ag_template *t = NULL;
    ag_buf_init(&r.out, AG_ROOM_TEST, AG_MAX_RENDERED_BYTES);
    ag_buf_init(&r.marks, AG_ROOM_TEST, AG_MAX_RENDERED_BYTES);
    r.code = ag_template_parse(source, &t, &r.err);
    if (r.code == AG_OK)
        r.code = ag_template_render_marked(t, trusted, user, limits, &r.out, &r.marks, &r.err);
    ag_template_free(&t);
    return r;
}

static result render(const char *source, const char *context) {
    const ag_template_limits limits = {.now = &now};
    json_t *json = json_loads(context, 0, NULL);
    assert_non_null(json);
    result r = render_with(ag_str(source), json, NULL, &limits);
    json_decref(json);
    return r;
}

static void assert_renders(const char *source, const char *context, const char *want) {
    result r = render(source, context);
    if (r.code != AG_OK)
        fail_msg("%s: %s", source, r.err.msg);
    if (!ag_span_is(ag_buf_span(&r.out), want))
        fail_msg("%s\n got  \"%.*s\"\n want \"%s\"", source, AG_SPAN(r.out), want);
    result_free(&r);
}

static void assert_fails(const char *source, ag_code code, const char *words) {
    result r = render(source, "{}");
    if (r.code != code || !strstr(r.err.msg, words))
        fail_msg("%.80s: code %s, \"%s\"; want %s with \"%s\"", source, ag_code_name(r.code),
                 r.err.msg, ag_code_name(code), words);
    assert_int_equal(r.out.n, 0);
    result_free(&r);
}

/* ---- the reference --------------------------------------------------------------------------- */

static json_t *load_json(const char *path) {
    ag_buf b;
    ag_err err = {0};
    json_error_t why;
    ag_buf_init(&b, AG_ROOM_TEST, 1 << 24);
    if (ag_file_read(path, &b, &err) != AG_OK)
        fail_msg("%s", err.msg);
    json_t *json = json_loadb(b.p, b.n, JSON_ALLOW_NUL, &why);
    if (!json)
        fail_msg("%s: %s", path, why.text);
    ag_buf_deinit(&b);
    return json;
}

static void read_template(const json_t *c, ag_buf *b) {
    const json_t *text = json_object_get(c, "template");
    char path[256];
    ag_buf_init(b, AG_ROOM_TEST, 1 << 20);
    if (text) {
        ag_buf_add(b, json_string_value(text), json_string_length(text));
        return;
    }
    snprintf(path, sizeof path, CASES "own/%s", json_string_value(json_object_get(c, "file")));
    assert_int_equal(ag_file_read(path, b, NULL), AG_OK);
}

static void check_case(const json_t *c, const json_t *common, size_t i) {
    const ag_template_limits limits = {.now = &now};
    const json_t *context = json_object_get(c, "context"), *out = json_object_get(c, "out");
    const json_t *error = json_object_get(c, "error");
    ag_buf source;
    read_template(c, &source);
    result r = render_with(ag_buf_span(&source), context ? context : common, NULL, &limits);
    ag_span want = ag_span_of(json_string_value(out), json_string_length(out));
    bool same = error ? r.code == AG_E_TEMPLATE : r.code == AG_OK;
    if (same && json_is_string(error)) /* what raise_exception was called with */
        same = strcmp(r.err.msg, json_string_value(error)) == 0;
    if (!same || (out && !ag_span_eq(ag_buf_span(&r.out), want)))
        fail_msg("case %zu: %.*s\n got  %s\"%.*s\"\n want \"%.*s\"", i, AG_SPAN(source),
                 r.code == AG_OK ? "" : r.err.msg, AG_SPAN(r.out), AG_SPAN(want));
    result_free(&r);
    ag_buf_deinit(&source);
}

static void all_cases_equal_the_reference(void **state) {
    (void)state;
    json_t *file = load_json(CASES "cases.json");
    const json_t *cases = json_object_get(file, "cases"), *common = json_object_get(file, "common");
    assert_true(json_array_size(cases) > 500);
    for (size_t i = 0; i < json_array_size(cases); i++)
        check_case(json_array_get(cases, i), common, i);
    json_decref(file);
}

static void numbers_print_as_in_python(void **state) {
    (void)state;
    assert_renders("{{ [0.1, 1e16, 1e15, 123456789.125, 5e-324, 1.7976931348623157e308, -0.0, 1e-5,"
                   " 0.0001] }}",
                   "{}",
                   "[0.1, 1e+16, 1000000000000000.0, 123456789.125, 5e-324, "
                   "1.7976931348623157e+308, -0.0, 1e-05, 0.0001]");
    assert_renders("{{ 2 ** 100 }} {{ -(2 ** 126) }} {{ 7 // -2 }} {{ -7 % 3 }} {{ 7.5 // -2 }}",
                   "{}",
                   "1267650600228229401496703205376 -85070591730234615865843651857942052864 -4 2 "
                   "-4.0");
}

static void keys_keep_their_order(void **state) {
    (void)state;
    assert_renders("{{ d | tojson }}", "{\"d\": {\"z\": 1, \"a\": 2, \"m\": {\"y\": 1, \"b\": 2}}}",
                   "{\"z\": 1, \"a\": 2, \"m\": {\"y\": 1, \"b\": 2}}");
}

static void a_name_assigned_later_hides_the_context(void **state) {
    (void)state;
    assert_renders("{% for i in [1] %}[{{ x }}]{% endfor %}{% set x = 2 %}{{ x }}", "{\"x\": 7}",
                   "[]2");
    assert_renders("{% for i in [1] %}[{{ x }}]{% endfor %}{% if true %}{% set x = 2 %}{% endif %}",
                   "{\"x\": 7}", "[7]");
}

static void json_text_can_be_read(void **state) {
    (void)state;
    assert_renders("{% set d = s | from_json %}{{ d.a[1] }}", "{\"s\": \"{\\\"a\\\": [1, 2]}\"}",
                   "2");
    assert_fails("{{ '{' | from_json }}", AG_E_TEMPLATE, "from_json");
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void errors_name_the_line_and_what_was_expected(void **state) {
    (void)state;
    assert_fails("a\n{% if %}", AG_E_TEMPLATE, "line 2: expected an expression");
    assert_fails("{% for x in y %}\n", AG_E_TEMPLATE, "expected 'endfor'");
    assert_fails("\n\n{{ x ", AG_E_TEMPLATE, "line 3: expected end of print statement");
    assert_fails("{% nosuch %}", AG_E_TEMPLATE, "unknown tag 'nosuch'");
    assert_fails("{% if a %}{% endfor %}", AG_E_TEMPLATE, "unknown tag 'endfor' inside 'if'");
    assert_fails("{{ 'a }}", AG_E_TEMPLATE, "unexpected character");
    assert_fails("{# never", AG_E_TEMPLATE, "comment is not closed");
    assert_fails("{{ (1] }}", AG_E_TEMPLATE, "unexpected ']', expected ')'");
    assert_fails("{{ 1 | nosuch }}", AG_E_TEMPLATE, "no filter named 'nosuch'");
    assert_fails("{% break %}", AG_E_TEMPLATE, "'break' outside of a loop");
    assert_fails("{{ '\\ud800' }}", AG_E_TEMPLATE, "malformed escape");
    assert_fails("{% include 'x' %}", AG_E_TEMPLATE, "unknown tag 'include'");
    assert_fails("\n{{ x.y }}", AG_E_TEMPLATE, "line 2: 'x' is undefined");
    assert_fails("{{ {}.a.b }}", AG_E_TEMPLATE, "'dict object' has no attribute 'a'");
    assert_fails("{{ [].append(1) }}", AG_E_TEMPLATE, "'append' of 'list' object is unsafe");
    assert_fails("{{ raise_exception('no ' ~ 1) }}", AG_E_TEMPLATE, "no 1");
    assert_fails("\xff", AG_E_TEMPLATE, "not valid UTF-8");
}

static void an_unknown_filter_under_if_fails_only_when_reached(void **state) {
    (void)state;
    assert_renders("{% if false %}{{ 1 | nosuch }}{% endif %}x", "{}", "x");
    assert_fails("{% if true %}{{ 1 | nosuch }}{% endif %}x", AG_E_TEMPLATE, "nosuch");
}

static void a_context_must_be_an_object(void **state) {
    (void)state;
    ag_template *t = NULL;
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_TEST, 100);
    json_t *array = json_array();
    assert_int_equal(ag_template_parse(ag_str("x"), &t, NULL), AG_OK);
    assert_int_equal(ag_template_render(t, array, NULL, &out, NULL), AG_E_ARG);
    assert_int_equal(ag_template_render(t, NULL, NULL, &out, NULL), AG_OK);
    assert_int_equal(out.n, 1);
    json_decref(array);
    ag_buf_deinit(&out);
    ag_template_free(&t);
}

/* ---- budgets --------------------------------------------------------------------------------- */

static void assert_limited(const char *source) { assert_fails(source, AG_E_LIMIT, ""); }

static char *repeat(const char *head, const char *s, size_t n, const char *tail) {
    ag_buf b;
    ag_buf_init(&b, AG_ROOM_TEST, 1 << 24);
    ag_buf_adds(&b, head);
    for (size_t i = 0; i < n; i++)
        ag_buf_adds(&b, s);
    ag_buf_adds(&b, tail);
    assert_non_null(ag_buf_cstr(&b));
    return b.p;
}

static void assert_repeated_limited(const char *head, const char *s, size_t n, const char *tail) {
    char *source = repeat(head, s, n, tail);
    assert_limited(source);
    ag_free(source);
}

static void deep_sources_are_refused(void **state) {
    (void)state;
    assert_repeated_limited("{{ ", "(", 100000, "");
    assert_repeated_limited("{{ ", "[", 200, "");
    assert_repeated_limited("{{ ", "not ", 100000, "x }}");
    assert_repeated_limited("{{ ", "-", 100000, "1 }}");
    assert_repeated_limited("{{ 1", " if x else 1", 50000, " }}");
    assert_repeated_limited("{{ 1", "+1", 100000, " }}");
    assert_repeated_limited("{{ x", ".a", 100000, " }}");
    assert_repeated_limited("{{ x", "|trim", 100000, " }}");
    assert_repeated_limited("", "{% if true %}", 50000, "");
    assert_repeated_limited("", "{% for x in y %}", 50000, "");
    assert_repeated_limited("", "x", AG_MAX_TEMPLATE_BYTES + 1, "");
}

static void long_sources_are_fine(void **state) {
    (void)state;
    char *source = repeat("", "{% if true %}{% set x = 1 %}{% endif %}\n", 20000, "{{ x }}");
    assert_renders(source, "{}", "1");
    ag_free(source);
}

static void endless_work_ends(void **state) {
    (void)state;
    assert_limited("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}");
    assert_limited("{% macro f(n) %}{% for i in [1, 2] %}{{ f(n - 1) if n > 0 }}{% endfor %}"
                   "{% endmacro %}{{ f(60) }}");
    assert_limited("{% for a in range(99999) %}{% for b in range(99999) %}{{ '' }}{% endfor %}"
                   "{% endfor %}");
    assert_limited("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}");
    assert_limited("{% for a in range(99999) %}{% for b in range(99999) if b < 0 %}{% endfor %}"
                   "{% endfor %}");
    assert_fails("{{ range(100001) }}", AG_E_TEMPLATE, "range too big");
}

static void growing_values_end(void **state) {
    (void)state;
    assert_limited("{% set ns = namespace(s='x') %}{% for i in range(60) %}"
                   "{% set ns.s = ns.s + ns.s %}{% endfor %}");
    assert_limited("{% set ns = namespace(s=[1]) %}{% for i in range(60) %}"
                   "{% set ns.s = ns.s + ns.s %}{% endfor %}");
    assert_limited("{% set ns = namespace(s='x') %}{% for i in range(60) %}"
                   "{% set ns.s = ns.s | replace('x', 'xx') %}{% endfor %}");
    assert_limited("{% set ns = namespace(s='x') %}{% for i in range(60) %}"
                   "{% set ns.s = ns.s | tojson %}{% endfor %}");
    assert_limited("{{ 'x' * 1000000000000 }}");
    assert_limited("{{ [0] * 1000000000000 }}");
    assert_limited("{{ 'a'.center(1000000000000) }}{{ 'a' | indent(1000000000000, true) }}");
    assert_limited("{{ [1] | tojson(indent=1000000000000) }}");
    assert_fails("{{ 10 ** 10 ** 10 }}", AG_E_TEMPLATE, "128 bits");
    assert_fails("{{ '%999999999d' % 1 }}", AG_E_TEMPLATE, "too large");
    assert_fails("{{ '{:999999999}'.format(1) }}", AG_E_TEMPLATE, "format");
}

static void deep_values_end(void **state) {
    (void)state;
#define DEEP                                                                                       \
    "{% set ns = namespace(l=[]) %}{% for i in range(5000) %}{% set ns.l = [ns.l] %}{% endfor %}"
    assert_limited(DEEP "{{ ns.l }}");
    assert_limited(DEEP "{{ ns.l | tojson }}");
    assert_limited(DEEP "{% set a = ns.l %}" DEEP "{{ a == ns.l }}");
    assert_limited(DEEP "{% set a = ns.l %}" DEEP "{{ a < ns.l }}");
    assert_limited("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}");
    assert_limited("{% set ns = namespace(g=[1]) %}{% for i in range(5000) %}"
                   "{% set ns.g = ns.g | map('upper') %}{% endfor %}{{ ns.g | list }}");
}

static void limits_of_a_render_can_be_set(void **state) {
    (void)state;
    const ag_template_limits steps = {.steps = 100}, output = {.output_bytes = 10};
    const ag_template_limits memory = {.memory_bytes = 20000}, depth = {.depth = 4};
    const char *loop = "{% for i in range(50) %}abc{% endfor %}";
    result r = render_with(ag_str(loop), NULL, NULL, &steps);
    assert_int_equal(r.code, AG_E_LIMIT);
    assert_non_null(strstr(r.err.msg, "steps"));
    result_free(&r);
    r = render_with(ag_str(loop), NULL, NULL, &output);
    assert_int_equal(r.code, AG_E_LIMIT);
    assert_non_null(strstr(r.err.msg, "larger than 10 bytes"));
    result_free(&r);
    r = render_with(ag_str("{{ 'x' * 30000 }}"), NULL, NULL, &memory);
    assert_int_equal(r.code, AG_E_LIMIT);
    assert_non_null(strstr(r.err.msg, "memory"));
    result_free(&r);
    r = render_with(ag_str("{{ ((1 + 2) + (3 + (4 + 5))) * 2 }}"), NULL, NULL, &depth);
    assert_int_equal(r.code, AG_E_LIMIT);
    result_free(&r);
}

/* ---- provenance ------------------------------------------------------------------------------ */

/* Render with s = "ab\"C d" from the user; `marks` shows what came from there as u, else as t. */
static void assert_marks(const char *source, const char *out, const char *marks) {
    json_t *user =
        json_pack("{s:s,s:[{s:s,s:s}]}", "s", "ab\"C d", "m", "role", "user", "name", "system");
    json_t *trusted = json_pack("{s:s}", "bos", "<s>");
    result r = render_with(ag_str(source), trusted, user, NULL);
    if (r.code != AG_OK)
        fail_msg("%s: %s", source, r.err.msg);
    assert_int_equal(r.out.n, r.marks.n);
    for (size_t i = 0; i < r.marks.n; i++)
        r.marks.p[i] = r.marks.p[i] ? 'u' : 't';
    if (!ag_span_is(ag_buf_span(&r.out), out) || !ag_span_is(ag_buf_span(&r.marks), marks))
        fail_msg("%s\n got  \"%.*s\" \"%.*s\"\n want \"%s\" \"%s\"", source, AG_SPAN(r.out),
                 AG_SPAN(r.marks), out, marks);
    result_free(&r);
    json_decref(user);
    json_decref(trusted);
}

static void every_byte_keeps_its_origin(void **state) {
    (void)state;
    assert_marks("{{ bos }}x{{ s }}", "<s>xab\"C d", "ttttuuuuuu");
    assert_marks("{{ '<' + s + '>' }}", "<ab\"C d>", "tuuuuuut");
    assert_marks("{{ ('<' ~ s ~ '>')[1:] }}", "ab\"C d>", "uuuuuut");
    assert_marks("{{ ('<' ~ s)[::-1] }}", "d C\"ba<", "uuuuuut");
    assert_marks("{{ ('  ' ~ s ~ ' ') | trim | upper }}", "AB\"C D", "uuuuuu");
    assert_marks("{{ s.split('\"')[1] ~ '!' }}", "C d!", "uuut");
    assert_marks("{{ s | replace('\"', '--') }}", "ab--C d", "uuttuuu");
    assert_marks("{{ 'x-y' | replace('-', s[0]) }}", "xay", "tut");
    assert_marks("{{ s | tojson }}", "\"ab\\\"C d\"", "tuuuuuuut");
    assert_marks("{{ [s[0], 'z'] }}", "['a', 'z']", "ttuttttttt");
    assert_marks("{{ '%s|%5s' % (s[0], s[1]) }}", "a|    b", "utttttu");
    assert_marks("{{ '{}:{!r}'.format(s[0], s[1]) }}", "a:'b'", "uttut");
    assert_marks("{{ [s[0], s[1]] | join('-') }}", "a-b", "utu");
    assert_marks("{{ '-'.join([s[0], 'q']) }}", "a-q", "utt");
    assert_marks("{{ s | title }}{{ s[3] | e }}{{ s[2] | e }}", "Ab\"c DC&#34;", "uuuuuuuuuuuu");
    assert_marks("{% set x %}<{{ s[0] }}>{% endset %}{{ x }}", "<a>", "tut");
    assert_marks("{% macro f(a) %}[{{ a }}]{% endmacro %}{{ f(s[0]) }}", "[a]", "tut");
    assert_marks("{% for c in s[:2] %}{{ loop.index }}{{ c }}{% endfor %}", "1a2b", "tutu");
    assert_marks("{{ 'a\nb' | indent(s[0]) }}", "a\nab", "ttut");
    assert_marks("{% for k in m[0] %}{{ k[0] }}{% endfor %}", "rn", "uu");
    assert_marks("{{ ('{\"k\": \"' ~ s[0] ~ '\"}') | from_json }}", "{'k': 'a'}", "ttuttttutt");
}

static void known_roles_are_not_marked(void **state) {
    (void)state;
    assert_marks("{{ '<|' + m[0].role + '|>' + m[0].name }}", "<|user|>system", "ttttttttuuuuuu");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_cases_equal_the_reference),
        cmocka_unit_test(numbers_print_as_in_python),
        cmocka_unit_test(keys_keep_their_order),
        cmocka_unit_test(a_name_assigned_later_hides_the_context),
        cmocka_unit_test(json_text_can_be_read),
        cmocka_unit_test(errors_name_the_line_and_what_was_expected),
        cmocka_unit_test(an_unknown_filter_under_if_fails_only_when_reached),
        cmocka_unit_test(a_context_must_be_an_object),
        cmocka_unit_test(deep_sources_are_refused),
        cmocka_unit_test(long_sources_are_fine),
        cmocka_unit_test(endless_work_ends),
        cmocka_unit_test(growing_values_end),
        cmocka_unit_test(deep_values_end),
        cmocka_unit_test(limits_of_a_render_can_be_set),
        cmocka_unit_test(every_byte_keeps_its_origin),
        cmocka_unit_test(known_roles_are_not_marked),
    };
    return cmocka_run_group_tests_name("text/template", tests, NULL, NULL);
}
