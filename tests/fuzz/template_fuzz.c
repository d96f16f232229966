/* Templates and their contexts are hostile: whatever they are, a render ends within its budget in
 * an answer or an error. The input is a template, a zero byte, and a context in JSON. */
#include <stdint.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "text/template/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void render(const ag_template *t, const json_t *context) {
    const ag_template_limits limits = {
        .steps = 200000, .output_bytes = 1 << 20, .memory_bytes = 16 << 20};
    ag_buf out, marks;
    ag_buf_init(&out, AG_ROOM_TEST, 1 << 20);
    ag_buf_init(&marks, AG_ROOM_TEST, 1 << 20);
    ag_code code = ag_template_render_marked(t, NULL, context, &limits, &out, &marks, NULL);
    /* One mark for each byte, valid UTF-8, and nothing at all after an error. */
    if (out.n != marks.n || (code != AG_OK && out.n != 0) ||
        ag_utf8_valid_prefix(ag_buf_span(&out)) != out.n)
        abort();
    ag_buf_deinit(&out);
    ag_buf_deinit(&marks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t n = zero ? (size_t)(zero - data) : size;
    ag_template *t = NULL;
    if (ag_template_parse(ag_span_of(data, n), &t, NULL) != AG_OK)
        return 0;
    json_t *context =
        zero ? json_loadb((const char *)zero + 1, size - n - 1, JSON_ALLOW_NUL, NULL) : NULL;
    render(t, json_is_object(context) ? context : NULL);
    json_decref(context);
    ag_template_free(&t);
    return 0;
}
