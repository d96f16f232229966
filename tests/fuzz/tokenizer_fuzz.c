/* A GGUF file and, behind a marker, text: the vocabulary is built from the hostile keys, the text
 * is encoded with every mix of flags, and what comes out is decoded. Ids must be tokens, and
 * decoding must give valid UTF-8. */
#include <stdint.h>

#include "base/utf8.h"
#include "load/gguf.h"
#include "text/tokenizer.h"

#define MAX_TEXT 4096

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_text(const ag_tokenizer *t, ag_span text, unsigned flags) {
    ag_ids ids = {0};
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_TEST, 1 << 24);
    if (ag_tokenizer_encode(t, text, flags, &ids, NULL) == AG_OK) {
        ag_detok d;
        ag_detok_init(&d, t, flags & AG_ENCODE_BOS, flags & AG_ENCODE_SPECIAL);
        for (size_t i = 0; i < ids.n; i++) {
            AG_ASSERT(ids.v[i] >= 0 && ids.v[i] < ag_tokenizer_n(t));
            AG_ASSERT((flags & AG_ENCODE_SPECIAL) || (flags & AG_ENCODE_BOS) ||
                      ag_tokenizer_type(t, ids.v[i]) != AG_TOKEN_CONTROL);
            ag_detok_push(&d, ids.v[i], &out);
        }
        ag_detok_flush(&d, &out);
        AG_ASSERT(ag_utf8_is_valid(ag_buf_span(&out)));
    }
    ag_buf_deinit(&out);
    ag_ids_deinit(&ids);
}

static void check_tokens(const ag_tokenizer *t) {
    for (int32_t id = -1; id <= ag_tokenizer_n(t) && id < 2000; id++) {
        ag_span raw = ag_tokenizer_raw(t, id);
        int32_t found = ag_tokenizer_find(t, raw);
        AG_ASSERT(found < ag_tokenizer_n(t));
        AG_ASSERT(found < 0 || ag_span_eq(ag_tokenizer_raw(t, found), raw));
        (void)ag_tokenizer_is_stop(t, id);
        (void)ag_tokenizer_bytes(t, id);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    static const char marker[] = "\xFFTEXT";
    ag_span all = ag_span_of(p, n), text = ag_str("The end 123 <s> \xFF");
    size_t cut = ag_span_find(all, ag_str(marker), 0);
    if (cut != SIZE_MAX) {
        text = ag_span_sub(all, cut + sizeof marker - 1, n);
        all.n = cut;
    }
    ag_source *g = NULL;
    ag_tokenizer *t = NULL;
    if (ag_gguf_open_bytes(all.p, all.n, &g, NULL) == AG_OK &&
        ag_tokenizer_from_source(g, &t, NULL) == AG_OK) {
        check_tokens(t);
        for (unsigned flags = 0; flags < 4; flags++)
            check_text(t, ag_span_sub(text, 0, MAX_TEXT), flags);
    }
    ag_tokenizer_free(&t);
    ag_source_close(&g);
    return 0;
}
