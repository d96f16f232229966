/* Renders chat templates for the comparison with the reference (tests/golden/templates).
 *
 * Reads JSON lines {"template": source, "context": object, "marked": bool} from standard input and
 * writes one line for each: {"out": text} or {"error": message, "code": name}; with "marked" also
 * "plain": the output without the bytes that came from the context's strings. strftime_now tells
 * 2025-03-09 14:05:07. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "text/template/template.h"

static const struct tm now = {.tm_year = 125,
                              .tm_mon = 2,
                              .tm_mday = 9,
                              .tm_hour = 14,
                              .tm_min = 5,
                              .tm_sec = 7,
                              .tm_wday = 0,
                              .tm_yday = 67};

/* The bytes of out that are not marked. */
static json_t *plain_text(const ag_buf *out, const ag_buf *marks) {
    ag_buf plain;
    ag_buf_init(&plain, AG_ROOM_TEST, AG_MAX_RENDERED_BYTES);
    for (size_t i = 0; i < out->n; i++)
        if (!marks->p[i])
            ag_buf_addc(&plain, out->p[i]);
    json_t *text = json_stringn_nocheck(plain.p ? plain.p : "", plain.n);
    ag_buf_deinit(&plain);
    return text;
}

static json_t *render(const ag_template *t, const json_t *line) {
    const ag_template_limits limits = {.now = &now};
    const json_t *context = json_object_get(line, "context");
    bool marked = json_is_true(json_object_get(line, "marked"));
    ag_buf out, marks;
    ag_err err = {0};
    ag_buf_init(&out, AG_ROOM_TEST, AG_MAX_RENDERED_BYTES);
    ag_buf_init(&marks, AG_ROOM_TEST, AG_MAX_RENDERED_BYTES);
    ag_code code = ag_template_render_marked(t, marked ? NULL : context, marked ? context : NULL,
                                             &limits, &out, &marks, &err);
    json_t *result = json_object();
    if (code == AG_OK)
        json_object_set_new(result, "out", json_stringn_nocheck(out.p ? out.p : "", out.n));
    else
        json_object_set_new(result, "error", json_string_nocheck(err.msg));
    if (code != AG_OK)
        json_object_set_new(result, "code", json_string(ag_code_name(code)));
    else if (marked)
        json_object_set_new(result, "plain", plain_text(&out, &marks));
    ag_buf_deinit(&out);
    ag_buf_deinit(&marks);
    return result;
}

static json_t *answer(const json_t *line) {
    const json_t *source = json_object_get(line, "template");
    ag_template *t = NULL;
    ag_err err = {0};
    ag_code code = ag_template_parse(
        ag_span_of(json_string_value(source), json_string_length(source)), &t, &err);
    if (code != AG_OK) {
        json_t *result = json_object();
        json_object_set_new(result, "error", json_string_nocheck(err.msg));
        json_object_set_new(result, "code", json_string(ag_code_name(code)));
        return result;
    }
    json_t *result = render(t, line);
    ag_template_free(&t);
    return result;
}

int main(void) {
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    while ((n = getline(&line, &room, stdin)) > 0) {
        json_error_t why;
        json_t *json = json_loadb(line, (size_t)n, JSON_ALLOW_NUL, &why);
        if (!json) {
            fprintf(stderr, "render_template: %s\n", why.text);
            return 2;
        }
        json_t *result = answer(json);
        json_dumpf(result, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
        putchar('\n');
        json_decref(result);
        json_decref(json);
    }
    free(line);
    return 0;
}
