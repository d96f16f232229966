/* How tokenizer.json normalises text and cuts it into words: recognised by what it says, word for
 * word. Nothing is guessed: a description that is not in the table is refused and quoted, since a
 * tokenizer that is almost right damages a model silently.
 *
 * A pre-tokenizer is written down as one line a step, "split EXPRESSION", "digits" (each alone),
 * "bytes" (stand-ins for bytes) or "words" (GPT-2's expression, then the same), and looked up. */
#include "load/hf_tokenizer_parts.h"

#define SPACE_MARK "\xE2\x96\x81" /* ▁ */

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define LINES        "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define OTHERS       "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" LINES
#define OTHERS_SLASH "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" LINES
#define LEAD         "[^\\r\\n\\p{L}\\p{N}]?"
#define A_START      CONTRACTIONS "|" LEAD "\\p{L}+"
#define UPPERS       "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWERS       "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define O_WORDS                                                                                    \
    LEAD UPPERS "*" LOWERS "+" CONTRACTIONS "?|" LEAD UPPERS "+" LOWERS "*" CONTRACTIONS "?"
#define CJK "[\xE4\xB8\x80-\xE9\xBE\xA5\xE0\xA0\x80-\xE4\xB8\x80\xEA\xB0\x80-\xED\x9F\xBF]+"

static const struct {
    const char *steps; /* each ends with a line feed */
    const char *pre;   /* value of tokenizer.ggml.pre */
    const char *nfc;   /* the same when text is normalised first; NULL: pre */
} table[] = {
    {"split " A_START "|\\p{N}{1,3}" OTHERS "\nbytes\n", "llama-bpe", NULL},
    {"split '(?i:[sdmt]|ll|ve|re)|" LEAD "+\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*"
     "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+\nbytes\n", /* the same, as OpenAI writes it */
     "llama-bpe", NULL},
    {"split " A_START "|\\p{N}" OTHERS "\nbytes\n", "hunyuan", "qwen2"},
    {"split " CONTRACTIONS "|" LEAD
     "[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" LINES "\nbytes\n",
     "qwen35", NULL},
    {"words\n", "gpt-2", "olmo"},
    {"digits\nwords\n", "smollm", "command-r"},
    {"split " LEAD UPPERS "*" LOWERS "+|" LEAD UPPERS "+" LOWERS "*|\\p{N}" OTHERS_SLASH
     "\nbytes\n",
     "tekken", NULL},
    {"split " O_WORDS "|\\p{N}{1,3}" OTHERS_SLASH "\nbytes\n", "gpt-4o", NULL},
    {"split \\p{N}{1,3}\n"
     "split [\xE4\xB8\x80-\xE9\xBE\xA5\xE3\x81\x80-\xE3\x82\x9F\xE3\x82\xA0-\xE3\x83\xBF]+\n"
     "split [!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?"
     "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*" LINES "\nbytes\n",
     "deepseek-v3", NULL},
    {"split [\\r\\n]\nsplit "
#include "load/hf_deepseek_letters.inc"
     "\nsplit \\s?[!-/:-~\xEF\xBC\x81-\xEF\xBC\x8F\xEF\xBC\x9A-\xEF\xBD\x9E\xE2\x80\x98-"
     "\xE2\x80\x9F\xE3\x80\x80-\xE3\x80\x82]+\nsplit \\s+$\nsplit " CJK "\ndigits\nbytes\n",
     "deepseek-llm", NULL},
    {"split [\\r\\n]\nsplit \\s?\\p{L}+\nsplit \\s?\\p{P}+\nsplit " CJK "\ndigits\nbytes\n",
     "deepseek-coder", NULL},
};

/* ---- byte-level pre-tokenizers --------------------------------------------------------------- */

/* Refuse `part`, quoting it (an expression alone, which is what differs). */
static ag_code unknown(const json_t *part, const char *what, ag_err *err) {
    char text[2048];
    ag_span regex;
    if (ag_hf_str(json_object_get(part, "pattern"), "Regex", &regex))
        return ag_fail(err, AG_E_UNSUPPORTED, "the %s has an expression that is not known: %.*s",
                       what, AG_SPAN(regex));
    size_t n = json_dumpb(part, text, sizeof text, JSON_COMPACT | JSON_ENCODE_ANY);
    if (n > sizeof text)
        return ag_fail(err, AG_E_UNSUPPORTED, "the %s is not known: %zu bytes of JSON", what, n);
    return ag_fail(err, AG_E_UNSUPPORTED, "the %s is not known: %.*s", what, (int)n, text);
}

/* The elements of a Sequence under `list`, or the object alone; none for null. */
static size_t n_parts(const json_t *object, const char *list) {
    if (ag_hf_is(object, "type", "Sequence"))
        return json_array_size(json_object_get(object, list));
    return json_is_object(object);
}
static const json_t *part_at(const json_t *object, const char *list, size_t i) {
    bool sequence = ag_hf_is(object, "type", "Sequence");
    return sequence ? json_array_get(json_object_get(object, list), i) : object;
}

/* Split: the matches and what lies between them are pieces. Removing all that is no match is the
 * same where matches cover the text, as those of every single expression in the table do. */
static bool write_split(const json_t *step, size_t n_steps, ag_buf *out) {
    ag_span regex;
    bool invert = ag_hf_flag(step, "invert", false);
    bool same = ag_hf_is(step, "behavior", "Isolated") ||
                (ag_hf_is(step, "behavior", "Removed") && invert && n_steps == 2);
    if (!same || !ag_hf_str(json_object_get(step, "pattern"), "Regex", &regex))
        return false;
    ag_buf_adds(out, "split ");
    for (size_t i = 0; i < regex.n; i++) { /* some escape the quotation mark, which says the same */
        bool needless = regex.p[i] == '\\' && i + 1 < regex.n && regex.p[i + 1] == '"';
        if (!needless || (i > 0 && regex.p[i - 1] == '\\'))
            ag_buf_addc(out, regex.p[i]);
    }
    return ag_buf_addc(out, '\n');
}

/* One step in the table's words; false when there are none for it. */
static bool write_step(const json_t *step, size_t n_steps, ag_buf *out) {
    if (ag_hf_is(step, "type", "Split"))
        return write_split(step, n_steps, out);
    if (ag_hf_is(step, "type", "Digits"))
        return ag_hf_flag(step, "individual_digits", false) && ag_buf_adds(out, "digits\n");
    if (!ag_hf_is(step, "type", "ByteLevel") || ag_hf_flag(step, "add_prefix_space", true))
        return false;
    return ag_buf_adds(out, ag_hf_flag(step, "use_regex", true) ? "words\n" : "bytes\n");
}

static const char *find_row(ag_span steps, bool nfc) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (ag_span_is(steps, table[i].steps))
            return nfc && table[i].nfc ? table[i].nfc : table[i].pre;
    return NULL;
}

static ag_code read_byte_level(ag_hf_vocab *v, const json_t *pre, const json_t *normalizer,
                               ag_err *err) {
    for (size_t i = 0; i < n_parts(normalizer, "normalizers"); i++) {
        const json_t *one = part_at(normalizer, "normalizers", i);
        if (!ag_hf_is(one, "type", "NFC"))
            return unknown(one, "normalizer of a byte-level BPE", err);
        v->nfc = true;
    }
    ag_buf steps;
    ag_buf_init(&steps, AG_ROOM_LOAD, 1 << 16);
    ag_code code = AG_OK;
    size_t n = n_parts(pre, "pretokenizers");
    for (size_t i = 0; i < n && code == AG_OK; i++) {
        const json_t *step = part_at(pre, "pretokenizers", i);
        if (!write_step(step, n, &steps) && !steps.failed)
            code = unknown(step, "pre-tokenizer", err);
    }
    if (code == AG_OK)
        code = ag_buf_check(&steps, "the pre-tokenizer", err);
    if (code == AG_OK && !(v->pre = find_row(ag_buf_span(&steps), v->nfc)))
        code = unknown(n == 2 ? part_at(pre, "pretokenizers", 0) : pre, "pre-tokenizer", err);
    ag_buf_deinit(&steps);
    return code;
}

/* ---- SentencePiece-like ---------------------------------------------------------------------- */

static bool is_space_to_mark(const json_t *one) {
    return ag_hf_is(one, "type", "Replace") &&
           ag_hf_is(json_object_get(one, "pattern"), "String", " ") &&
           ag_hf_is(one, "content", SPACE_MARK);
}

static ag_code read_metaspace(ag_hf_vocab *v, const json_t *pre, ag_err *err) {
    bool old = !json_object_get(pre, "prepend_scheme");
    bool always =
        old ? ag_hf_flag(pre, "add_prefix_space", true) : ag_hf_is(pre, "prepend_scheme", "always");
    bool first = ag_hf_is(pre, "prepend_scheme", "first");
    bool never = old ? !always : ag_hf_is(pre, "prepend_scheme", "never");
    if (!ag_hf_is(pre, "replacement", SPACE_MARK) || ag_hf_flag(pre, "split", true) ||
        !(always || first || never))
        return unknown(pre, "pre-tokenizer", err);
    v->space_prefix = !never;
    v->metaspace = never ? NULL : first ? "first" : "always";
    return AG_OK;
}

/* Spaces become ▁, by the normalizer (Llama 2 with one before each text, Gemma without) or by
 * Metaspace; the words are not cut. */
static ag_code read_spm(ag_hf_vocab *v, const json_t *pre, const json_t *normalizer, ag_err *err) {
    bool replaced = false;
    v->kind = AG_HF_SPM;
    v->pre = "default";
    for (size_t i = 0; i < n_parts(normalizer, "normalizers"); i++) {
        const json_t *one = part_at(normalizer, "normalizers", i);
        if (is_space_to_mark(one))
            replaced = true;
        else if (!replaced && ag_hf_is(one, "type", "Prepend") &&
                 ag_hf_is(one, "prepend", SPACE_MARK))
            v->space_prefix = true;
        else
            return unknown(one, "normalizer", err);
    }
    if (!replaced && !v->space_prefix && ag_hf_is(pre, "type", "Metaspace"))
        return read_metaspace(v, pre, err);
    /* Gemma splits at spaces, of which none are left by then. */
    bool none_left =
        ag_hf_is(pre, "type", "Split") && ag_hf_is(json_object_get(pre, "pattern"), "String", " ");
    if (!replaced || (json_is_object(pre) && !none_left))
        return unknown(json_is_object(pre) ? pre : normalizer, "pre-tokenizer", err);
    return AG_OK;
}

/* ---- WordPiece ------------------------------------------------------------------------------- */

static ag_code read_bert(ag_hf_vocab *v, const json_t *pre, const json_t *normalizer, ag_err *err) {
    if (!ag_hf_is(pre, "type", "BertPreTokenizer"))
        return unknown(pre, "pre-tokenizer of WordPiece", err);
    if (!ag_hf_is(normalizer, "type", "BertNormalizer") ||
        !ag_hf_flag(normalizer, "clean_text", true))
        return unknown(normalizer, "normalizer of WordPiece", err);
    v->lowercase = ag_hf_flag(normalizer, "lowercase", true);
    v->strip_accents = ag_hf_flag(normalizer, "strip_accents", v->lowercase);
    v->cjk_spaces = ag_hf_flag(normalizer, "handle_chinese_chars", true);
    return AG_OK;
}

ag_code ag_hf_read_pre(ag_hf_vocab *v, const json_t *root, ag_err *err) {
    const json_t *pre = json_object_get(root, "pre_tokenizer");
    const json_t *normalizer = json_object_get(root, "normalizer");
    if (v->kind == AG_HF_WPM)
        return read_bert(v, pre, normalizer, err);
    bool byte_level = false;
    for (size_t i = 0; i < n_parts(pre, "pretokenizers"); i++)
        byte_level |= ag_hf_is(part_at(pre, "pretokenizers", i), "type", "ByteLevel");
    return byte_level ? read_byte_level(v, pre, normalizer, err)
                      : read_spm(v, pre, normalizer, err);
}
