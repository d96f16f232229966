/* vocab.json and merges.txt, as GPT-2 and Qwen have them: the model of a tokenizer.json in two
 * files. How text is cut into words they do not say; that is a habit of the class that
 * tokenizer_config.json names, so a class that is not known is refused. */
#include "base/limits.h"
#include "load/hf_tokenizer_parts.h"
#include "load/json.h"

static const struct {
    const char *name; /* of the class, with or without "Fast" behind */
    const char *pre;  /* value of tokenizer.ggml.pre */
    bool nfc;
    bool has_bos; /* the class's own end of text begins one too */
} classes[] = {
    {"GPT2Tokenizer", "gpt-2", false, true},
    {"Qwen2Tokenizer", "qwen2", true, false},
};
#define N_CLASSES   (sizeof classes / sizeof *classes)
#define END_OF_TEXT "<|endoftext|>"

/* ---- the files ------------------------------------------------------------------------------- */

/* A rule a line, after a line with the version. Rules are checked where those of tokenizer.json
 * are.
 */
static ag_code read_merges(ag_span text, json_t *list, ag_err *err) {
    size_t n_line = 0;
    for (size_t at = 0; at < text.n;) {
        const char *end = memchr(text.p + at, '\n', text.n - at);
        size_t to = end ? (size_t)(end - text.p) : text.n;
        ag_span line = ag_span_sub(text, at, to);
        at = to + 1;
        n_line++;
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n == 0 || (n_line == 1 && ag_span_starts(line, ag_str("#version"))))
            continue;
        if (json_array_size(list) >= AG_MAX_VOCAB)
            return ag_fail(err, AG_E_LIMIT, "merges.txt: more than %u rules", AG_MAX_VOCAB);
        json_t *rule = json_stringn(line.p, line.n);
        if (!rule || json_array_append_new(list, rule))
            return ag_fail(err, AG_E_FORMAT, "merges.txt: line %zu is not valid UTF-8", n_line);
    }
    return AG_OK;
}

ag_code ag_hf_vocab_model(ag_span vocab, ag_span merges, json_t **model, ag_err *err) {
    json_t *tokens = NULL, *list = json_array();
    ag_code code = list ? AG_OK : ag_fail(err, AG_E_NOMEM, "out of memory for merges.txt");
    *model = NULL;
    if (code == AG_OK)
        code = ag_json_parse(vocab, "vocab.json", &tokens, err);
    if (code == AG_OK)
        code = read_merges(merges, list, err);
    if (code != AG_OK) {
        json_decref(tokens);
        json_decref(list);
        return code;
    }
    *model = json_pack("{s:o, s:o}", "vocab", tokens, "merges", list);
    return *model ? AG_OK : ag_fail(err, AG_E_NOMEM, "out of memory for vocab.json");
}

/* ---- the class ------------------------------------------------------------------------------- */

static bool is_class(ag_span name, const char *base) {
    size_t n = strlen(base);
    return ag_span_starts(name, ag_str(base)) &&
           (name.n == n || ag_span_is(ag_span_sub(name, n, name.n), "Fast"));
}

static ag_code choose_class(ag_hf_vocab *v, const json_t *config, ag_err *err) {
    ag_span name = ag_str("not named in tokenizer_config.json");
    ag_hf_str(config, "tokenizer_class", &name);
    for (size_t i = 0; i < N_CLASSES; i++) {
        if (!is_class(name, classes[i].name))
            continue;
        v->pre = classes[i].pre;
        v->nfc = classes[i].nfc;
        v->eos = ag_hf_find(v, ag_str(END_OF_TEXT));
        v->bos = classes[i].has_bos ? v->eos : -1;
        return AG_OK;
    }
    return ag_fail(err, AG_E_UNSUPPORTED,
                   "vocab.json: the class that says how text is cut is %.*s; supported are %s and "
                   "%s: add the tokenizer.json of this model",
                   AG_SPAN(ag_span_sub(name, 0, 60)), classes[0].name, classes[1].name);
}

ag_code ag_hf_read_vocab_model(ag_hf_vocab *v, const json_t *model, const json_t *config,
                               ag_err *err) {
    v->kind = AG_HF_BPE;
    v->bare = true;
    ag_code code = ag_hf_read_bpe(v, model, err);
    if (code != AG_OK)
        return ag_err_wrap(err, code, "vocab.json and merges.txt");
    if (ag_hf_flag(config, "add_prefix_space", false))
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "tokenizer_config.json: add_prefix_space is not supported");
    return choose_class(v, config, err);
}

/* ---- special tokens -------------------------------------------------------------------------- */

/* One is text, or an object with its text. */
static void mark(ag_hf_vocab *v, const json_t *token) {
    ag_span text = {0};
    if (json_is_string(token))
        text = ag_span_of(json_string_value(token), json_string_length(token));
    else
        ag_hf_str(token, "content", &text);
    int64_t id = text.n > 0 ? ag_hf_find(v, text) : -1;
    if (id >= 0)
        v->tokens[id].type = AG_HF_CONTROL;
}

void ag_hf_mark_specials(ag_hf_vocab *v, const json_t *config, const json_t *map) {
    static const char *const names[] = {"bos_token", "eos_token", "unk_token", "pad_token",
                                        "sep_token", "cls_token", "mask_token"};
    const json_t *const files[] = {config, map};
    if (v->eos >= 0)
        v->tokens[v->eos].type = AG_HF_CONTROL;
    for (size_t f = 0; f < 2; f++) {
        const json_t *more = json_object_get(files[f], "additional_special_tokens");
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            mark(v, json_object_get(files[f], names[i]));
        for (size_t i = 0; i < json_array_size(more); i++)
            mark(v, json_array_get(more, i));
    }
}
