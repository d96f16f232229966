/* Every allocation of parsing and rendering a template, and of a chat, fails once: an error, no
 * leak, nothing appended. */
#include "base/fault.h"
#include "base/limits.h"
#include "text/chat.h"
#include "text/template/template.h"
#include "unit/test.h"

#include <stdlib.h>

static const char source[] =
    "{% macro f(a, b=[1, 2]) %}{{ a ~ b }}{{ varargs }}{{ kwargs }}{% endmacro %}"
    "{% set ns = namespace(x={'k': 1.5}) %}{% for m in messages if m %}{% set ns.x = loop.index %}"
    "{{ f(m.content | upper, k=m.role) }}{{ m | tojson(indent=2) }}{{ loop.cycle('a', 'b') }}"
    "{{ (m.content | string).split(' ') | sort | unique | map('title') | join('-') }}{% else "
    "%}none{% endfor %}"
    "{% set t %}{{ '%s %d' % ('x', 3) }}{{ '{:>5}'.format(messages | length) }}{% endset %}{{ t }}"
    "{{ messages | groupby('role') | list }}{{ range(3) | list }}{{ messages[::-1] | length }}"
    "{% filter indent(2) %}a\nb{{ strftime_now('%Y') | length }}{% endfilter %}";
static const char messages[] =
    "[{\"role\": \"user\", \"content\": \"one two \\u00e9\"}, {\"role\": \"assistant\","
    " \"content\": [{\"type\": \"text\", \"text\": \"three\"}], \"thinking\": \"hm\","
    " \"tool_calls\": [{\"function\": {\"name\": \"f\", \"arguments\": \"{\\\"a\\\": 1}\"}}]}]";

/* One life; the output must be whole or absent. */
static ag_code live(const json_t *context, ag_buf *out) {
    ag_template *t = NULL;
    out->n = 0;
    ag_code code = ag_template_parse(ag_str(source), &t, NULL);
    if (code == AG_OK)
        code = ag_template_render(t, context, NULL, out, NULL);
    ag_template_free(&t);
    assert_null(t);
    return code;
}

static void no_failed_allocation_leaks_in_templates(void **state) {
    (void)state;
    json_t *context = json_pack("{s:o}", "messages", json_loads(messages, 0, NULL));
    assert_non_null(context);
    size_t before = ag_mem_bytes(AG_ROOM_TEXT);
    long nth = 0;
    for (bool done = false; !done;) {
        ag_buf out; /* a fresh one, whose growing fails too */
        ag_buf_init(&out, AG_ROOM_TEST, AG_MAX_RENDERED_BYTES);
        ag_fault_arm(AG_FAULT_ALLOC, ++nth, false);
        ag_code code = live(context, &out);
        done = !ag_fault_fired(AG_FAULT_ALLOC);
        ag_fault_arm(AG_FAULT_ALLOC, 0, false);
        assert_int_equal(code, done ? AG_OK : AG_E_NOMEM);
        assert_true(done || out.n == 0);
        assert_int_equal(ag_mem_bytes(AG_ROOM_TEXT), before);
        ag_buf_deinit(&out);
    }
    assert_true(nth > 5);
    json_decref(context);
}

static ag_code live_chat(const json_t *list, ag_buf *out) {
    const ag_chat_source from = {.text = ag_str("{{ bos_token }}{% for m in messages %}{{ m.role ~"
                                                " m.content }}{% endfor %}"),
                                 .bos = ag_str("<s>"),
                                 .tool_text =
                                     ag_str("{{ tools | tojson }}{{ messages | tojson }}")};
    const ag_chat_input in = {.messages = list};
    ag_chat *c = NULL;
    ag_code code = ag_chat_new(&from, &c, NULL);
    if (code == AG_OK)
        code = ag_chat_render(c, &in, out, NULL);
    ag_chat_free(&c);
    assert_null(c);
    return code;
}

static void no_failed_allocation_leaks_in_chats(void **state) {
    (void)state;
    json_t *list = json_loads(messages, 0, NULL);
    size_t before = ag_mem_bytes(AG_ROOM_TEXT);
    long nth = 0;
    for (bool done = false; !done;) {
        ag_buf out;
        ag_buf_init(&out, AG_ROOM_TEST, AG_MAX_RENDERED_BYTES);
        ag_fault_arm(AG_FAULT_ALLOC, ++nth, false);
        ag_code code = live_chat(list, &out);
        done = !ag_fault_fired(AG_FAULT_ALLOC);
        ag_fault_arm(AG_FAULT_ALLOC, 0, false);
        assert_int_equal(code, done ? AG_OK : AG_E_NOMEM);
        assert_int_equal(ag_mem_bytes(AG_ROOM_TEXT), before);
        ag_buf_deinit(&out);
    }
    assert_true(nth > 10);
    json_decref(list);
}

/* Jansson's allocations fail too. */
static long json_left;
static void *failing_malloc(size_t n) { return json_left-- > 0 ? malloc(n) : NULL; }

static void no_failed_allocation_of_json_leaks(void **state) {
    (void)state;
    json_t *list = json_loads(messages, 0, NULL);
    size_t before = ag_mem_bytes(AG_ROOM_TEXT);
    ag_code code = AG_E_NOMEM;
    json_malloc_t old_malloc;
    json_free_t old_free;
    json_get_alloc_funcs(&old_malloc, &old_free);
    for (long n = 0; code != AG_OK; n++) {
        ag_buf out;
        ag_buf_init(&out, AG_ROOM_TEST, AG_MAX_RENDERED_BYTES);
        json_left = n;
        json_set_alloc_funcs(failing_malloc, free);
        code = live_chat(list, &out);
        json_set_alloc_funcs(old_malloc, old_free);
        assert_true(code == AG_OK || code == AG_E_NOMEM);
        assert_int_equal(ag_mem_bytes(AG_ROOM_TEXT), before);
        ag_buf_deinit(&out);
    }
    json_decref(list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_failed_allocation_leaks_in_templates),
        cmocka_unit_test(no_failed_allocation_leaks_in_chats),
        cmocka_unit_test(no_failed_allocation_of_json_leaks),
    };
    return cmocka_run_group_tests_name("text/template_fault", tests, NULL, NULL);
}
