/* The index over tokens, and what the rest of the engine asks a vocabulary. */
#include "text/vocab.h"

/* ---- stand-ins for bytes --------------------------------------------------------------------- */

/* The byte that a code point stands for, or -1: 21-7E, A1-AC and AE-FF stand for themselves, the
 * others in order begin at U+0100. */
static int byte_of_standin(uint32_t cp) {
    if ((cp >= 0x21 && cp <= 0x7E) || (cp >= 0xA1 && cp <= 0xAC) || (cp >= 0xAE && cp <= 0xFF))
        return (int)cp;
    if (cp < 0x100 || cp > 0x143)
        return -1;
    cp -= 0x100;
    if (cp <= 0x20)
        return (int)cp;
    return cp <= 0x42 ? (int)(cp - 0x21 + 0x7F) : 0xAD;
}

size_t ag_bytes_from_standins(ag_span raw, char *out) {
    const uint8_t *p = (const uint8_t *)raw.p;
    size_t n = 0;
    for (size_t at = 0; at < raw.n;) {
        uint32_t cp = p[at];
        if (cp < 0x80) {
            at++;
        } else { /* stand-ins beyond ASCII have two bytes */
            if (cp < 0xC2 || cp > 0xC5 || at + 1 == raw.n || (p[at + 1] & 0xC0) != 0x80)
                return SIZE_MAX;
            cp = (cp & 0x1F) << 6 | (p[at + 1] & 0x3Fu);
            at += 2;
        }
        int byte = byte_of_standin(cp);
        if (byte < 0)
            return SIZE_MAX;
        out[n++] = (char)byte;
    }
    return n;
}

/* ---- the index ------------------------------------------------------------------------------- */

static inline bool is_ordinary(const ag_tokenizer *t, int32_t id) {
    return t->type[id] == AG_TOKEN_NORMAL;
}

static void insert(ag_tokenizer *t, int32_t id) {
    ag_span key = ag_vocab_key(t, id);
    uint64_t hash = ag_key_hash(key.p, key.n, t->seed);
    uint32_t tag = (uint32_t)(hash >> 32);
    if (key.n > t->longest)
        t->longest = key.n;
    size_t at = hash & t->slot_mask;
    for (; t->slots[at].id >= 0; at = (at + 1) & t->slot_mask) {
        int32_t other = t->slots[at].id;
        if (t->slots[at].tag == tag && ag_span_eq(ag_vocab_raw(t, id), ag_vocab_raw(t, other)))
            break; /* the same text again: the last one counts */
    }
    t->slots[at] = (ag_vocab_slot){tag, id};
}

ag_code ag_vocab_index(ag_tokenizer *t, ag_err *err) {
    size_t n_slots = 16;
    while (n_slots < (size_t)t->n * 2)
        n_slots *= 2;
    t->slots = ag_alloc(AG_ROOM_TEXT, n_slots * sizeof *t->slots);
    if (!t->slots)
        return ag_fail(err, AG_E_NOMEM, "out of memory for a vocabulary of %d tokens", t->n);
    memset(t->slots, 0xFF, n_slots * sizeof *t->slots); /* id -1 */
    t->slot_mask = n_slots - 1;
    for (int32_t id = 0; id < t->n; id++)
        insert(t, id);
    return AG_OK;
}

int32_t ag_vocab_find_hashed(const ag_tokenizer *t, const void *key, size_t n, uint64_t hash) {
    uint32_t tag = (uint32_t)(hash >> 32);
    for (size_t at = hash & t->slot_mask; t->slots[at].id >= 0; at = (at + 1) & t->slot_mask) {
        int32_t id = t->slots[at].id;
        if (t->slots[at].tag != tag || !is_ordinary(t, id))
            continue;
        ag_span k = ag_vocab_key(t, id);
        if (k.n == n && ag_key_eq(k.p, key, n))
            return id;
    }
    return -1;
}

int32_t ag_vocab_find(const ag_tokenizer *t, const void *key, size_t n) {
    return n <= t->longest ? ag_vocab_find_hashed(t, key, n, ag_key_hash(key, n, t->seed)) : -1;
}

int32_t ag_vocab_find_key(const ag_tokenizer *t, ag_span key, size_t raw_n, bool any) {
    if (key.n > t->longest)
        return -1;
    uint64_t hash = ag_key_hash(key.p, key.n, t->seed);
    uint32_t tag = (uint32_t)(hash >> 32);
    for (size_t at = hash & t->slot_mask; t->slots[at].id >= 0; at = (at + 1) & t->slot_mask) {
        int32_t id = t->slots[at].id;
        if (t->slots[at].tag != tag || ag_vocab_raw(t, id).n != raw_n)
            continue;
        if (!any && !is_ordinary(t, id) && t->type[id] != AG_TOKEN_USER_DEFINED)
            continue;
        if (ag_span_eq(ag_vocab_key(t, id), key))
            return id;
    }
    return -1;
}

/* ---- questions ------------------------------------------------------------------------------- */

static bool has(const ag_tokenizer *t, int32_t id) { return id >= 0 && id < t->n; }

int32_t ag_tokenizer_n(const ag_tokenizer *t) { return t->n; }

ag_span ag_tokenizer_raw(const ag_tokenizer *t, int32_t id) {
    return has(t, id) ? ag_vocab_raw(t, id) : (ag_span){0};
}

ag_token_type ag_tokenizer_type(const ag_tokenizer *t, int32_t id) {
    return has(t, id) ? (ag_token_type)t->type[id] : AG_TOKEN_UNUSED;
}

ag_span ag_tokenizer_bytes(const ag_tokenizer *t, int32_t id) {
    return has(t, id) ? ag_vocab_bytes(t, id) : (ag_span){0};
}

int32_t ag_tokenizer_find(const ag_tokenizer *t, ag_span s) {
    int32_t id = ag_vocab_find_key(t, s, s.n, true); /* written as it decodes, or SPM */
    if (id >= 0 && ag_span_eq(ag_vocab_raw(t, id), s))
        return id;
    char small[256], *bytes = small;
    if (t->kind != AG_VOCAB_BPE || s.n > 2 * t->longest)
        return -1;
    if (s.n > sizeof small && !(bytes = ag_alloc(AG_ROOM_TEXT, s.n)))
        return -1;
    size_t n = ag_bytes_from_standins(s, bytes);
    id = n == SIZE_MAX ? -1 : ag_vocab_find_key(t, ag_span_of(bytes, n), s.n, true);
    if (bytes != small)
        ag_free(bytes);
    return id;
}

int32_t ag_tokenizer_bos(const ag_tokenizer *t) { return t->bos; }
int32_t ag_tokenizer_eos(const ag_tokenizer *t) { return t->eos; }
bool ag_tokenizer_adds_bos(const ag_tokenizer *t) { return t->adds_bos; }

void ag_tokenizer_free(ag_tokenizer **tp) {
    ag_tokenizer *t = *tp;
    if (!t)
        return;
    ag_free(t->raw_at);
    ag_free(t->bytes);
    ag_free(t->bytes_at);
    ag_free(t->type);
    ag_free((void *)t->reach);
    ag_free(t->order);
    ag_free(t->slots);
    ag_free(t->merges);
    ag_added_deinit(&t->added);
    ag_free(t);
    *tp = NULL;
}
