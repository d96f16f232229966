/* Encoding: repair the UTF-8, cut at added tokens, normalise, cut into words, merge each. */
#include "text/tokenizer.h"

#include "base/limits.h"
#include "base/utf8.h"
#include "text/nfc.h"
#include "text/unicode.h"
#include "text/vocab.h"

#define SPACE_MARK "\xE2\x96\x81" /* ▁ stands for a space in SPM */

typedef struct encoder {
    const ag_tokenizer *t;
    ag_merger merger;
    ag_buf text;  /* the piece in hand, normalised */
    bool goes_on; /* it continues another text */
} encoder;

/* ---- lists of ids ---------------------------------------------------------------------------- */

void ag_ids_deinit(ag_ids *ids) {
    ag_free(ids->v);
    *ids = (ag_ids){0};
}

ag_code ag_ids_add(ag_ids *ids, int32_t id, ag_err *err) {
    if (ids->n == ids->room) {
        size_t room = ids->room ? ids->room * 2 : 64;
        int32_t *v = ag_realloc(AG_ROOM_TEXT, ids->v, room, sizeof *v);
        if (!v)
            return ag_fail(err, AG_E_NOMEM, "out of memory for %zu token ids", room);
        ids->v = v;
        ids->room = room;
    }
    ids->v[ids->n++] = id;
    return AG_OK;
}

/* ---- pieces between added tokens ------------------------------------------------------------- */

static ag_code on_word(void *ctx, const uint8_t *word, size_t n, ag_err *err) {
    return ag_merge_word(ctx, word, n, err);
}

static ag_code encode_bpe(encoder *e, ag_span piece, ag_err *err) {
    ag_code code = AG_OK;
    if (e->t->nfc)
        code = ag_nfc(piece, &e->text, &piece, err);
    return code == AG_OK ? ag_pre_split(e->t->pre, piece, on_word, &e->merger, err) : code;
}

/* SPM merges over the whole piece, but two characters that stand side by side in no token can be
 * cut apart beforehand: nothing merges over the cut. Mostly that is before each ▁, and around line
 * ends and punctuation. */
static ag_code encode_chunks(encoder *e, ag_span text, ag_err *err) {
    const uint8_t *p = (const uint8_t *)text.p;
    size_t from = 0, n = text.n, len;
    uint8_t before = 0; /* the last byte of the character before, FF for ▁ */
    ag_code code = AG_OK;
    for (size_t at = 0; at < n && code == AG_OK; at += len) {
        ag_char_at(p + at, &len);
        bool mark = len == 3 && memcmp(p + at, SPACE_MARK, 3) == 0;
        uint8_t first = mark ? 0xFF : p[at];
        if (at > 0 && !(e->t->joins[before][first / 8] >> first % 8 & 1)) {
            code = ag_merge_word(&e->merger, p + from, at - from, err);
            from = at;
        }
        before = mark ? 0xFF : p[at + len - 1];
    }
    return code == AG_OK ? ag_merge_word(&e->merger, p + from, n - from, err) : code;
}

/* Does a ▁ go before this piece? */
static bool wants_prefix(const ag_tokenizer *t, ag_span piece, bool first) {
    if (t->prefix == AG_PREFIX_NONE || t->prefix == AG_PREFIX_ALWAYS)
        return t->prefix == AG_PREFIX_ALWAYS;
    bool space = piece.p[0] == ' ' || ag_span_starts(piece, ag_str(SPACE_MARK));
    return !space && (first || t->prefix == AG_PREFIX_UNLESS_SPACE);
}

static ag_code encode_spm(encoder *e, ag_span piece, bool first, ag_err *err) {
    ag_buf *b = &e->text;
    b->n = 0;
    if (!e->goes_on && wants_prefix(e->t, piece, first))
        ag_buf_add(b, SPACE_MARK, 3);
    for (size_t at = 0; at < piece.n;) {
        const char *space = memchr(piece.p + at, ' ', piece.n - at);
        size_t end = space ? (size_t)(space - piece.p) : piece.n;
        ag_buf_add(b, piece.p + at, end - at);
        if (space)
            ag_buf_add(b, SPACE_MARK, 3);
        at = end + (space != NULL);
    }
    ag_code code = ag_buf_check(b, "normalised text", err);
    return code == AG_OK ? encode_chunks(e, ag_buf_span(b), err) : code;
}

/* `first`: the piece begins the text. */
static ag_code encode_piece(encoder *e, ag_span piece, bool first, ag_err *err) {
    if (piece.n == 0)
        return AG_OK;
    switch (e->t->kind) {
    case AG_VOCAB_BPE:
        return encode_bpe(e, piece, err);
    case AG_VOCAB_SPM:
        return encode_spm(e, piece, first, err);
    case AG_VOCAB_WPM:
        return ag_wordpiece_encode(e->t, piece, &e->text, e->merger.out, err);
    }
    AG_NEVER(); /* the kinds are all above */
}

/* Start of the white space that [from, to) ends with. */
static size_t white_before(ag_span text, size_t from, size_t to) {
    const uint8_t *p = (const uint8_t *)text.p;
    while (to > from) {
        size_t at = to - 1, len;
        while (at > from && (p[at] & 0xC0) == 0x80)
            at--;
        if (!AG_IN(AG_SET_WHITE, ag_class_at(p + at, &len)))
            break;
        to = at;
    }
    return to;
}

/* End of the white space at `at`. */
static size_t white_behind(ag_span text, size_t at) {
    const uint8_t *p = (const uint8_t *)text.p;
    size_t len;
    while (at < text.n && AG_IN(AG_SET_WHITE, ag_class_at(p + at, &len)))
        at += len;
    return at;
}

/* What a text may match. */
typedef struct matching {
    bool special;         /* control tokens */
    const uint8_t *plain; /* bytes they must not touch, or NULL */
} matching;

/* The first byte of [from, to) that is set in plain (or not set, for `wanted` false), or `to`. */
static size_t find_plain(const uint8_t *plain, size_t from, size_t to, bool wanted) {
    while (from < to && (plain[from] != 0) != wanted)
        from++;
    return from;
}

/* The next added token that may be recognised. A control token that may not stays text, whole: what
 * it covers is not searched for other tokens either. Where only a part of it is a user's, the part
 * that is not may hold a token of its own. */
static bool find_added(const ag_added *added, ag_span text, size_t at, const matching *allow,
                       ag_added_match *m) {
    while (ag_added_find(added, text, at, m)) {
        if (!m->special)
            return true;
        at = m->to;
        if (!allow->special)
            continue;
        size_t plain = allow->plain ? find_plain(allow->plain, m->from, m->to, true) : m->to;
        if (plain == m->to)
            return true;
        if (plain == m->from) {
            at = find_plain(allow->plain, m->from, m->to, false);
            continue;
        }
        ag_added_match shorter;
        if (ag_added_find(added, ag_span_sub(text, 0, plain), m->from, &shorter) &&
            shorter.from == m->from) {
            *m = shorter;
            return true;
        }
        at = m->from + 1;
    }
    return false;
}

static ag_code encode_valid(encoder *e, ag_span text, const matching *allow, ag_err *err) {
    size_t from = 0;
    ag_added_match m;
    ag_code code = AG_OK;
    while (code == AG_OK && find_added(&e->t->added, text, from, allow, &m)) {
        size_t to = m.strip & AG_STRIP_LEFT ? white_before(text, from, m.from) : m.from;
        code = encode_piece(e, ag_span_sub(text, from, to), from == 0, err);
        e->goes_on = false;
        if (code == AG_OK)
            code = ag_ids_add(e->merger.out, m.id, err);
        from = m.strip & AG_STRIP_RIGHT ? white_behind(text, m.to) : m.to;
    }
    return code == AG_OK ? encode_piece(e, ag_span_sub(text, from, text.n), from == 0, err) : code;
}

static ag_code encode(const ag_tokenizer *t, ag_span text, unsigned flags, const uint8_t *plain,
                      ag_ids *out, ag_err *err) {
    if (text.n > AG_MAX_TEXT_BYTES)
        return ag_fail(err, AG_E_LIMIT, "a text of %zu bytes is too long; up to %zu are taken",
                       text.n, AG_MAX_TEXT_BYTES);
    encoder e = {.t = t, .merger = {.t = t, .out = out}, .goes_on = flags & AG_ENCODE_GOES_ON};
    ag_buf repaired;
    ag_buf_init(&e.text, AG_ROOM_TEXT, 3 * AG_MAX_TEXT_BYTES * 3 + 3);
    ag_buf_init(&repaired, AG_ROOM_TEXT, 3 * AG_MAX_TEXT_BYTES);
    ag_merger_expect(&e.merger, text.n);
    ag_code code = AG_OK;
    if (!ag_utf8_is_valid(text)) {
        ag_utf8_repair(text, &repaired);
        code = ag_buf_check(&repaired, "repaired text", err);
        text = ag_buf_span(&repaired);
    }
    if (code == AG_OK && (flags & AG_ENCODE_BOS) && t->adds_bos)
        code = ag_ids_add(out, t->bos, err);
    if (code == AG_OK)
        code = encode_valid(&e, text, &(matching){flags & AG_ENCODE_SPECIAL, plain}, err);
    if (code == AG_OK && (flags & AG_ENCODE_BOS) && t->adds_eos)
        code = ag_ids_add(out, t->eos, err);
    ag_merger_deinit(&e.merger);
    ag_buf_deinit(&e.text);
    ag_buf_deinit(&repaired);
    return code;
}

ag_code ag_tokenizer_encode(const ag_tokenizer *t, ag_span text, unsigned flags, ag_ids *out,
                            ag_err *err) {
    return encode(t, text, flags, NULL, out, err);
}

ag_code ag_tokenizer_encode_masked(const ag_tokenizer *t, ag_span text, const uint8_t *plain,
                                   unsigned flags, ag_ids *out, ag_err *err) {
    if (!ag_utf8_is_valid(text)) /* repairing would shift the marks */
        return ag_fail(err, AG_E_UTF8, "the text is not valid UTF-8 at byte %zu",
                       ag_utf8_valid_prefix(text));
    return encode(t, text, flags, plain, out, err);
}
