/* Tokenizer files of a Hugging Face folder. The first byte says which file the main bytes are;
 * behind a marker follows (of vocab.json merges.txt, then) tokenizer_config.json, behind another
 * generation_config.json. What is accepted must build a tokenizer or give a reason, encode any text
 * to ids that exist, and decode them. */
#include <stdint.h>

#include "base/utf8.h"
#include "load/hf_parts.h"
#include "load/hf_tokenizer.h"
#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const char text[] = "The end, \xC3\xA9 \xE4\xBD\xA0 123  <s> [CLS]ab \xF0\x9F\x8C\x8D\n\xFF";

static void use(const ag_tokenizer *t) {
    for (unsigned flags = 0; flags < 4; flags++) {
        ag_ids ids = {0};
        ag_buf out;
        ag_detok d;
        ag_buf_init(&out, AG_ROOM_TEST, 1 << 22);
        ag_detok_init(&d, t, true, flags & AG_ENCODE_SPECIAL);
        if (ag_tokenizer_encode(t, ag_span_of(text, sizeof text - 1), flags, &ids, NULL) == AG_OK)
            for (size_t i = 0; i < ids.n; i++) {
                AG_ASSERT(ids.v[i] >= 0 && ids.v[i] < ag_tokenizer_n(t));
                ag_detok_push(&d, ids.v[i], &out);
            }
        ag_detok_flush(&d, &out);
        AG_ASSERT(ag_utf8_is_valid(ag_buf_span(&out)));
        ag_buf_deinit(&out);
        ag_ids_deinit(&ids);
    }
}

/* The part of *all before the marker; *all becomes what follows. */
static ag_span cut(ag_span *all) {
    static const char marker[] = "\xFF"
                                 "NEXT";
    size_t at = ag_span_find(*all, ag_str(marker), 0);
    ag_span part = ag_span_sub(*all, 0, at);
    *all = at == SIZE_MAX ? (ag_span){0} : ag_span_sub(*all, at + sizeof marker - 1, all->n);
    return part;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    if (n == 0)
        return 0;
    ag_span all = ag_span_of(p + 1, n - 1);
    ag_hf_tokenizer_files files = {0};
    ag_span part = cut(&all);
    if (p[0] == 'm') {
        files.tokenizer_model = part;
    } else if (p[0] == 'v') {
        files.vocab_txt = part;
    } else if (p[0] == 'b') {
        files.vocab_json = part;
        files.merges_txt = cut(&all);
    } else {
        files.tokenizer_json = part;
    }
    files.tokenizer_config = cut(&all);
    files.generation_config = cut(&all);
    ag_source *s = NULL;
    ag_tokenizer *t = NULL;
    ag_err err = {0};
    AG_ASSERT(ag_source_new(NULL, "fuzz", &s, NULL) == AG_OK);
    ag_code code = ag_hf_tokenizer_parse(s, &files, &err);
    AG_ASSERT(code == err.code && (code == AG_OK) == (err.msg[0] == 0));
    if (code == AG_OK && ag_tokenizer_from_source(s, &t, NULL) == AG_OK)
        use(t);
    ag_tokenizer_free(&t);
    ag_source_close(&s);
    return 0;
}
