/* UTF-8: any bytes decode in steps that never pass the end, re-encode to themselves when valid, and
 * repair to valid text. */
#include <stdint.h>

#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_steps(ag_span s) {
    size_t at = 0, n_bad = 0, n_chars = 0;
    while (at < s.n) {
        ag_utf8_step step = ag_utf8_next(ag_span_sub(s, at, s.n));
        AG_ASSERT(step.n >= 1 && step.n <= 4 && step.n <= s.n - at);
        if (step.kind == AG_UTF8_OK) {
            char bytes[4];
            AG_ASSERT(ag_utf8_encode(step.cp, bytes) == step.n);
            AG_ASSERT(memcmp(bytes, s.p + at, step.n) == 0);
        } else {
            AG_ASSERT(step.cp == AG_UTF8_REPLACEMENT);
            AG_ASSERT(step.kind != AG_UTF8_INCOMPLETE || at + step.n == s.n);
            n_bad++;
        }
        n_chars++;
        at += step.n;
    }
    AG_ASSERT(ag_utf8_is_valid(s) == (n_bad == 0));
    if (n_bad == 0)
        AG_ASSERT(ag_utf8_length(s) == n_chars);
}

static void check_repair(ag_span s) {
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_TEST, s.n * 3 + 1);
    AG_ASSERT(ag_utf8_repair(s, &out));
    AG_ASSERT(ag_utf8_is_valid(ag_buf_span(&out)));
    if (ag_utf8_is_valid(s))
        AG_ASSERT(ag_span_eq(s, ag_buf_span(&out)));
    ag_buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    ag_span s = ag_span_of(p, n);
    AG_ASSERT(ag_utf8_valid_prefix(s) <= n);
    check_steps(s);
    check_repair(s);
    return 0;
}
