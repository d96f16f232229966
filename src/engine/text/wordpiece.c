/* WordPiece, as BERT has it: text is cleaned and lower-cased, cut at white space and punctuation,
 * and each word is covered by the longest tokens from the left. A GGUF vocabulary marks the first
 * token of a word with ▁ where the published one marks all others with ##.
 *
 * Which characters count as what is a table of its own: the published code has Unicode 8's. */
#include <utf8proc.h>

#include "base/utf8.h"
#include "load/source.h"
#include "text/unicode.h"
#include "text/vocab.h"

#define MARK           "\xE2\x96\x81" /* ▁ */
#define MAX_WORD_CHARS 100            /* longer words are unknown, as published */
#define MAX_DECOMPOSED 8              /* code points of a canonical decomposition; at most 4 */

/* ---- characters ------------------------------------------------------------------------------ */

typedef enum wp_class {
    PLAIN,
    SPACE,
    DROPPED, /* controls, formats, private use */
    ACCENT,  /* dropped with strip_accents */
    PUNCT,   /* a word of its own; other symbols are not */
} wp_class;

static const struct {
    uint32_t first, last;
    wp_class class;
} ranges[] = {
#include "text/wordpiece_classes.inc"
};

static wp_class class_of(uint32_t cp) {
    if (cp < 0x80) {
        bool word = (cp >= '0' && cp <= '9') || ((cp | 0x20) >= 'a' && (cp | 0x20) <= 'z');
        if (cp == ' ' || cp == '\t' || cp == '\n' || cp == '\r')
            return SPACE;
        return cp < 0x20 || cp == 0x7F ? DROPPED : word ? PLAIN : PUNCT;
    }
    size_t low = 0, high = sizeof ranges / sizeof ranges[0];
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (cp > ranges[mid].last)
            low = mid + 1;
        else
            high = mid;
    }
    if (low < sizeof ranges / sizeof ranges[0] && cp >= ranges[low].first)
        return ranges[low].class;
    return AG_IN(AG_SET_WHITE, ag_unicode_entry(cp) & 15) ? SPACE : PLAIN;
}

/* ---- normalising ----------------------------------------------------------------------------- */

static bool is_ideograph(uint32_t cp) {
    return (cp >= 0x4E00 && cp <= 0x9FFF) || (cp >= 0x3400 && cp <= 0x4DBF) ||
           (cp >= 0x20000 && cp <= 0x2A6DF) || (cp >= 0x2A700 && cp <= 0x2B73F) ||
           (cp >= 0x2B740 && cp <= 0x2B81F) || (cp >= 0x2B920 && cp <= 0x2CEAF) ||
           (cp >= 0xF900 && cp <= 0xFAFF) || (cp >= 0x2F800 && cp <= 0x2FA1F);
}

static void add_char(uint32_t cp, ag_buf *out) {
    char c[4];
    ag_buf_add(out, c, ag_utf8_encode(cp, c));
}

/* One character of the result of decomposing: accents vanish, letters become small. */
static void add_plain(const ag_tokenizer *t, uint32_t cp, ag_buf *out) {
    if (t->strip_accents && class_of(cp) == ACCENT)
        return;
    if (t->lowercase && cp == 0x130) { /* the one letter whose small form is two characters */
        ag_buf_add(out, "i\xCC\x87", 3);
        return;
    }
    add_char(t->lowercase ? (uint32_t)utf8proc_tolower((int32_t)cp) : cp, out);
}

static void add_normalised(const ag_tokenizer *t, uint32_t cp, ag_buf *out) {
    if (cp < 0x80) {
        bool capital = t->lowercase && cp >= 'A' && cp <= 'Z';
        ag_buf_addc(out, (char)(capital ? cp | 0x20 : cp));
        return;
    }
    int32_t parts[MAX_DECOMPOSED] = {(int32_t)cp};
    int last_class = 0;
    utf8proc_ssize_t n = 1;
    if (t->strip_accents)
        n = utf8proc_decompose_char((int32_t)cp, parts, MAX_DECOMPOSED,
                                    UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &last_class);
    if (n < 1 || n > MAX_DECOMPOSED) { /* unassigned here: it stays what it is */
        parts[0] = (int32_t)cp;
        n = 1;
    }
    for (utf8proc_ssize_t i = 0; i < n; i++)
        add_plain(t, (uint32_t)parts[i], out);
}

static void normalise(const ag_tokenizer *t, ag_span piece, ag_buf *out) {
    const uint8_t *p = (const uint8_t *)piece.p;
    for (size_t at = 0, len; at < piece.n; at += len) {
        uint32_t cp = ag_char_at(p + at, &len);
        wp_class c = class_of(cp);
        if (c == DROPPED)
            continue;
        if (c == SPACE) {
            ag_buf_addc(out, ' ');
        } else if (t->cjk_spaces && is_ideograph(cp)) {
            ag_buf_addc(out, ' ');
            add_normalised(t, cp, out);
            ag_buf_addc(out, ' ');
        } else {
            add_normalised(t, cp, out);
        }
    }
}

/* ---- words ----------------------------------------------------------------------------------- */

/* The longest token that `key` begins with, from `least` bytes on: its length goes to *n. */
static int32_t longest(const ag_tokenizer *t, ag_span key, size_t least, size_t *n) {
    size_t end = key.n < t->longest ? key.n : t->longest;
    for (; end >= least && end > 0; end--) {
        bool whole = end == key.n || ((uint8_t)key.p[end] & 0xC0) != 0x80; /* no half characters */
        int32_t id = whole ? ag_vocab_find(t, key.p, end) : -1;
        if (id >= 0) {
            *n = end;
            return id;
        }
    }
    return -1;
}

/* `word` has room for a ▁ in front. What begins with a ▁ continues no word: such tokens are for
 * the first place. */
static ag_code encode_word(const ag_tokenizer *t, ag_span word, ag_ids *out, ag_err *err) {
    char key[sizeof MARK - 1 + 4 * MAX_WORD_CHARS];
    size_t before = out->n, mark = sizeof MARK - 1, n;
    ag_code code = AG_OK;
    int32_t id = -1;
    if (word.n <= 4 * MAX_WORD_CHARS && ag_utf8_length(word) <= MAX_WORD_CHARS) {
        memcpy(key, MARK, mark);
        memcpy(key + mark, word.p, word.n);
        id = longest(t, ag_span_of(key, mark + word.n), mark + 1, &n);
        for (size_t at = id >= 0 ? n - mark : 0; id >= 0 && code == AG_OK; at += n) {
            code = ag_ids_add(out, id, err);
            if (at == word.n || code != AG_OK)
                return code;
            ag_span rest = ag_span_sub(word, at, word.n);
            id = ag_span_starts(rest, ag_str(MARK)) ? -1 : longest(t, rest, 1, &n);
        }
    }
    out->n = before; /* one piece that is no token makes the whole word unknown */
    return t->unk >= 0 ? ag_ids_add(out, t->unk, err) : AG_OK;
}

ag_code ag_wordpiece_encode(const ag_tokenizer *t, ag_span piece, ag_buf *room, ag_ids *out,
                            ag_err *err) {
    room->n = 0;
    normalise(t, piece, room);
    ag_code code = ag_buf_check(room, "normalised text", err);
    const uint8_t *p = (const uint8_t *)room->p;
    size_t from = 0, len;
    for (size_t at = 0; at < room->n && code == AG_OK; at += len) {
        uint32_t cp = ag_char_at(p + at, &len);
        wp_class c = class_of(cp);
        if (c != PUNCT && c != SPACE)
            continue;
        if (at > from)
            code = encode_word(t, ag_span_of(p + from, at - from), out, err);
        if (c == PUNCT && code == AG_OK)
            code = encode_word(t, ag_span_of(p + at, len), out, err);
        from = at + len;
    }
    if (code == AG_OK && room->n > from)
        code = encode_word(t, ag_span_of(p + from, room->n - from), out, err);
    return code;
}

/* ---- building -------------------------------------------------------------------------------- */

/* A space before each word, none before . ? ! and comma, as published. */
size_t ag_wordpiece_bytes(ag_span raw, uint8_t type, char *out) {
    bool first = type != AG_TOKEN_NORMAL || ag_span_starts(raw, ag_str(MARK));
    ag_span text = type == AG_TOKEN_NORMAL && first ? ag_span_sub(raw, 3, raw.n) : raw;
    size_t n = 0;
    if (first && (text.n == 0 || !memchr(".?!,", text.p[0], 4)))
        out[n++] = ' ';
    if (text.n)
        memcpy(out + n, text.p, text.n);
    return n + text.n;
}

/* An id that the file names, else the token with the usual text. */
static int32_t frame_id(const ag_tokenizer *t, const ag_source *g, const char *const *keys,
                        const char *text) {
    for (; *keys; keys++) {
        uint32_t id;
        if (ag_source_get_u32(g, *keys, &id, NULL) == AG_OK && id < (uint32_t)t->n)
            return (int32_t)id;
    }
    return ag_tokenizer_find(t, ag_str(text));
}

ag_code ag_wordpiece_habits(ag_tokenizer *t, const ag_source *g, ag_err *err) {
    static const char *const cls[] = {"tokenizer.ggml.cls_token_id", "tokenizer.ggml.bos_token_id",
                                      NULL};
    static const char *const sep[] = {"tokenizer.ggml.seperator_token_id", /* so it is spelt */
                                      "tokenizer.ggml.separator_token_id",
                                      "tokenizer.ggml.eos_token_id", NULL};
    static const char *const unk[] = {"tokenizer.ggml.unknown_token_id", NULL};
    t->bos = frame_id(t, g, cls, "[CLS]");
    t->eos = frame_id(t, g, sep, "[SEP]");
    t->unk = frame_id(t, g, unk, "[UNK]");
    t->adds_bos = t->bos >= 0; /* always both: what files say about them is unreliable */
    t->adds_eos = t->eos >= 0;
    t->lowercase = t->cjk_spaces = true;
    ag_code code = ag_source_opt_bool(g, "tokenizer.ggml.normalizer.lowercase", &t->lowercase, err);
    t->strip_accents = t->lowercase;
    if (code == AG_OK)
        code = ag_source_opt_bool(g, "autoglm.tokenizer.strip_accents", &t->strip_accents, err);
    if (code == AG_OK)
        code = ag_source_opt_bool(g, "autoglm.tokenizer.cjk_spaces", &t->cjk_spaces, err);
    return code;
}
