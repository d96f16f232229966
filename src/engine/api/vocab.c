/* The vocabulary as a client sees it. */
#include "api/engine.h"

bool ag_engine_get_token(const ag_engine *e, int32_t id, ag_token_info *info) {
    *info = (ag_token_info){0};
    if (id < 0 || id >= ag_tokenizer_n(e->tokenizer))
        return false;
    ag_span bytes = ag_tokenizer_bytes(e->tokenizer, id);
    *info = (ag_token_info){.bytes = bytes.p ? bytes.p : "",
                            .len = bytes.n,
                            .special = ag_tokenizer_type(e->tokenizer, id) == AG_TOKEN_CONTROL,
                            .stops = ag_tokenizer_is_stop(e->tokenizer, id)};
    return true;
}

void ag_engine_get_vocab(const ag_engine *e, ag_vocab_info *info) {
    *info = (ag_vocab_info){.n_vocab = (uint32_t)ag_tokenizer_n(e->tokenizer),
                            .bos = ag_tokenizer_bos(e->tokenizer),
                            .eos = ag_tokenizer_eos(e->tokenizer),
                            .adds_bos = ag_tokenizer_adds_bos(e->tokenizer)};
}
