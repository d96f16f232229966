/* A request target (first line) and header fields ("name: value" lines after it). */
#include <string.h>

#include "base/utf8.h"
#include "http/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_string(const char *s) { AG_ASSERT(s && ag_utf8_is_valid(ag_str(s))); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ag_span all = ag_span_of(data, size);
    size_t end = ag_span_find(all, ag_str("\n"), 0);
    ag_arena arena;
    ag_http_target t;
    ag_arena_init(&arena, AG_ROOM_TEST, 1 << 20);
    if (!ag_http_target_parse(&t, &arena, ag_span_sub(all, 0, end)).status) {
        AG_ASSERT(t.path[0] == '/' && t.n_query <= AG_MAX_QUERY_PARAMS);
        check_string(t.path);
        for (size_t i = 0; i < t.n_query; i++) {
            check_string(t.query[i].name);
            check_string(t.query[i].value);
        }
    }
    ag_arena_deinit(&arena);
    ag_http_fields f = {.max = 100};
    while (end < size) {
        size_t begin = end + 1;
        end = ag_span_find(all, ag_str("\n"), begin);
        ag_span line = ag_span_sub(all, begin, end);
        size_t colon = ag_span_find(line, ag_str(":"), 0);
        if (ag_http_fields_add(&f, ag_span_sub(line, 0, colon),
                               colon < line.n ? ag_span_sub(line, colon + 1, line.n) : ag_str(""))
                .status)
            return 0;
    }
    if (!ag_http_fields_end(&f).status)
        AG_ASSERT(f.n_host == 1 && f.n_length + f.n_coding <= 1);
    return 0;
}
