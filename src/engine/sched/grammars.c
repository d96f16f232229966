#include "sched/grammars.h"

/* What no text may be taken for: control tokens, and whatever ends an answer under another type. */
static ag_span bytes_of(const void *ctx, int32_t id) {
    const ag_tokenizer *t = ctx;
    ag_token_type type = ag_tokenizer_type(t, id);
    bool is_text =
        type == AG_TOKEN_NORMAL || type == AG_TOKEN_USER_DEFINED || type == AG_TOKEN_BYTE;
    if (id >= ag_tokenizer_n(t) || !is_text || ag_tokenizer_is_stop(t, id))
        return (ag_span){0};
    return ag_tokenizer_bytes(t, id);
}

static int32_t find(const void *ctx, ag_span text) { return ag_tokenizer_find(ctx, text); }

ag_code ag_grammars_open(const ag_tokenizer *t, int32_t n_vocab, ag_gcache **out, ag_err *err) {
    ag_gvocab_source source = {.n_tokens = n_vocab, .bytes = bytes_of, .find = find, .ctx = t};
    return ag_gcache_new(&source, out, err);
}
