/* Text between two others ("fill in the middle"): models that were made for it mark the text
 * before, the text behind and the place between by tokens of their own. */
#include "text/vocab.h"

/* Forms by the tokens' texts, where the file does not name them by id. All of a row must be there,
 * as control or added tokens. */
static const struct {
    const char *before, *behind, *middle; /* middle NULL: the text before comes last */
} forms[] = {
    {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"}, /* Qwen, CodeGemma */
    {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"},       /* StarCoder, Granite */
    {"<fim-prefix>", "<fim-suffix>", "<fim-middle>"},       /* SantaCoder */
    {"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"}, /* DeepSeek */
    {"<|fim_begin|>", "<|fim_hole|>", "<|fim_end|>"},
    {"▁<PRE>", "▁<SUF>", "▁<MID>"}, /* Code Llama */
    {"<PRE>", "<SUF>", "<MID>"},
    {"<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"}, /* GLM */
    {"<|prefix|>", "<|suffix|>", "<|middle|>"},                /* Falcon */
    {"[PREFIX]", "[SUFFIX]", NULL},                            /* Mistral */
};

/* An answer that writes one of these is over: another part, file or repository would begin. */
static const char *const ends[] = {"<|fim_pad|>",  "<fim_pad>",  "<|repo_name|>",      "<reponame>",
                                   "<|file_sep|>", "<file_sep>", "<|file_separator|>", "▁<EOT>"};

static void add_end(ag_infill *f, int32_t id) {
    if (id >= 0 && f->n_ends < AG_MAX_INFILL_ENDS)
        f->ends[f->n_ends++] = id;
}

void ag_vocab_find_infill(ag_tokenizer *t) {
    ag_infill *f = &t->infill;
    bool named = f->before >= 0 && f->behind >= 0 && f->middle >= 0;
    for (size_t i = 0; i < sizeof forms / sizeof *forms && !named; i++) {
        const char *middle = forms[i].middle;
        f->before = ag_vocab_find_added(t, forms[i].before);
        f->behind = ag_vocab_find_added(t, forms[i].behind);
        f->middle = middle ? ag_vocab_find_added(t, middle) : -1;
        named = f->before >= 0 && f->behind >= 0 && (!middle || f->middle >= 0);
    }
    f->known = named;
    if (!named)
        return;
    add_end(f, f->before);
    add_end(f, f->behind);
    add_end(f, f->middle);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        add_end(f, ag_vocab_find_added(t, ends[i]));
}

bool ag_tokenizer_infills(const ag_tokenizer *t) { return t->infill.known; }

const int32_t *ag_tokenizer_infill_ends(const ag_tokenizer *t, size_t *n) {
    *n = t->infill.n_ends;
    return t->infill.ends;
}

static ag_code add_part(const ag_tokenizer *t, int32_t mark, ag_span text, unsigned flags,
                        ag_ids *out, ag_err *err) {
    ag_code code = ag_ids_add(out, mark, err);
    return code ? code : ag_tokenizer_encode(t, text, flags, out, err);
}

ag_code ag_tokenizer_infill(const ag_tokenizer *t, ag_span before, ag_span behind, unsigned flags,
                            ag_ids *out, ag_err *err) {
    const ag_infill *f = &t->infill;
    unsigned special = flags & AG_ENCODE_SPECIAL;
    ag_code code = AG_OK;
    if (!f->known)
        return ag_fail(err, AG_E_UNSUPPORTED, "the model has no fill-in-the-middle form");
    if ((flags & AG_ENCODE_BOS) && t->adds_bos)
        code = ag_ids_add(out, t->bos, err);
    if (!code && f->middle < 0)
        code = add_part(t, f->behind, behind, special | AG_ENCODE_GOES_ON, out, err);
    if (!code)
        code = add_part(t, f->before, before, special, out, err);
    if (!code && f->middle >= 0)
        code = add_part(t, f->behind, behind, special | AG_ENCODE_GOES_ON, out, err);
    return code || f->middle < 0 ? code : ag_ids_add(out, f->middle, err);
}
