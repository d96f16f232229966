/* Inside of a tokenizer: the vocabulary and its indices. Private to this room.
 *
 * Built once by vocab_source.c, constant afterwards but for `reach`, a cache of facts that any
 * thread may fill in (relaxed atomics: a lost update is found out again). */
#ifndef AG_TEXT_VOCAB_H
#define AG_TEXT_VOCAB_H

#include <stdatomic.h>

#include "base/hash.h"
#include "text/added.h"
#include "text/pretokenize.h"
#include "text/tokenizer.h"

/* Open addressing; 8 bytes keep a vocabulary of 262,144 in 4 MiB. */
typedef struct ag_vocab_slot {
    uint32_t tag; /* high half of the hash */
    int32_t id;   /* -1: free */
} ag_vocab_slot;

/* A rule of byte-level BPE: left and right become id. */
typedef struct ag_merge_slot {
    int32_t left, right; /* left -1: free */
    uint32_t rank;
    int32_t id;
} ag_merge_slot;

/* Where SPM puts a ▁: before each piece between added tokens, or only before one that does not
 * begin with a space, or only before such a one that begins the text. */
typedef enum ag_space_prefix {
    AG_PREFIX_NONE,
    AG_PREFIX_ALWAYS,
    AG_PREFIX_UNLESS_SPACE,
    AG_PREFIX_FIRST,
} ag_space_prefix;

#define AG_MAX_STOPS       64
#define AG_MAX_INFILL_ENDS 12

/* The tokens of a model that fills in text between two others. */
typedef struct ag_infill {
    bool known;                     /* the model has them */
    int32_t before, behind, middle; /* middle -1: behind comes first, and nothing ends before */
    int32_t ends[AG_MAX_INFILL_ENDS];
    size_t n_ends;
} ag_infill;

/* Merging a word takes about 50 times its size; texts without any boundary are hostile. */
#define AG_MAX_WORD_BYTES (16u << 20)

struct ag_tokenizer {
    ag_vocab_kind kind;
    int32_t n;
    const char *raw;    /* the file's array of strings, borrowed: length (u64) and bytes of each */
    uint32_t *raw_at;   /* [n + 1] where the bytes of a token start; 8 before the next they end */
    char *bytes;        /* what the tokens decode to, one after the other */
    uint32_t *bytes_at; /* [n + 1] */
    uint8_t *type;      /* [n] ag_token_type */
    _Atomic uint8_t *reach; /* [n] does merging the token's own key give just the token? */
    uint32_t *order;        /* [n] SPM: merging order from the score, lower first; else NULL */

    ag_vocab_slot *slots; /* index over keys */
    size_t slot_mask;
    ag_merge_slot *merges; /* BPE, SPM by rules: index over pairs; else NULL */
    size_t merge_mask;
    uint64_t seed;
    size_t longest; /* bytes of the longest key */

    int32_t byte_id[256];   /* the token of a byte alone, or -1 */
    ag_added added;         /* tokens found in the raw text */
    const ag_pre *pre;      /* BPE */
    bool nfc;               /* BPE: text is brought to NFC first */
    bool ignore_merges;     /* BPE: a word that is a token is taken whole before any merging */
    uint8_t joins[256][32]; /* SPM: bit (a, b) where a token holds a character that ends in byte a
                               before one that begins with b; ▁ counts as the byte FF */
    ag_space_prefix prefix; /* SPM */
    bool lowercase, strip_accents, cjk_spaces; /* WPM */
    bool adds_bos, adds_eos;
    int32_t bos, eos, unk;
    int32_t stops[AG_MAX_STOPS];
    size_t n_stops;
    ag_infill infill;
};

enum { AG_REACH_UNKNOWN, AG_REACH_YES, AG_REACH_NO };

/* A token's key is what encoding compares with: decoded bytes in a byte-level BPE, raw text in SPM.
 */
static inline ag_span ag_vocab_raw(const ag_tokenizer *t, int32_t id) {
    return (ag_span){t->raw + t->raw_at[id], t->raw_at[id + 1] - 8 - t->raw_at[id]};
}
static inline ag_span ag_vocab_bytes(const ag_tokenizer *t, int32_t id) {
    return (ag_span){t->bytes + t->bytes_at[id], t->bytes_at[id + 1] - t->bytes_at[id]};
}
static inline ag_span ag_vocab_key(const ag_tokenizer *t, int32_t id) {
    bool raw = t->kind != AG_VOCAB_BPE || t->type[id] == AG_TOKEN_UNUSED; /* those have no bytes */
    return raw ? ag_vocab_raw(t, id) : ag_vocab_bytes(t, id);
}
static inline bool ag_vocab_is_special(const ag_tokenizer *t, int32_t id) {
    return t->type[id] == AG_TOKEN_CONTROL || t->type[id] == AG_TOKEN_UNKNOWN;
}

/* Index all keys; raw, bytes and types are there. Of equal raw texts the last counts. AG_E_NOMEM.
 */
ag_code ag_vocab_index(ag_tokenizer *t, ag_err *err) AG_MUST_USE;
/* The ordinary token whose key is exactly these bytes, or -1: what merging may produce. */
int32_t ag_vocab_find(const ag_tokenizer *t, const void *key, size_t n);
/* The same with the key's ag_key_hash() under t->seed. */
int32_t ag_vocab_find_hashed(const ag_tokenizer *t, const void *key, size_t n, uint64_t hash);
/* The token with this key whose raw text has raw_n bytes, or -1; special and unused ones only with
 * `any`. In a byte-level BPE the length tells a token written in stand-ins from an added one with
 * the same bytes. */
int32_t ag_vocab_find_key(const ag_tokenizer *t, ag_span key, size_t raw_n, bool any);

/* Printable stand-ins for bytes (GPT-2's): decode `raw` to out, which holds raw.n bytes. Returns
 * the length, or SIZE_MAX when a character is no stand-in. */
size_t ag_bytes_from_standins(ag_span raw, char *out);

/* Hash and comparison of keys, which are short: no calls, at most two loads. */
static inline uint64_t ag_load64(const void *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}
static inline uint32_t ag_load32(const void *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}
static inline uint64_t ag_key_hash(const void *key, size_t n, uint64_t seed) {
    const uint8_t *p = (const uint8_t *)key;
    uint64_t a = 0, b = 0;
    if (n > 16)
        return ag_hash64(key, n, seed);
    if (n >= 8) {
        a = ag_load64(p);
        b = ag_load64(p + n - 8);
    } else if (n >= 4) {
        a = ag_load32(p);
        b = ag_load32(p + n - 4);
    } else if (n > 0) {
        a = (uint64_t)p[0] << 16 | (uint64_t)p[n / 2] << 8 | p[n - 1];
    }
    uint64_t h = ag_mix64(a ^ 0xe7037ed1a0b428dbull, b ^ seed);
    return ag_mix64(h ^ seed, n ^ 0xa0761d6478bd642full);
}
static inline bool ag_key_eq(const void *x, const void *y, size_t n) {
    const uint8_t *p = (const uint8_t *)x, *q = (const uint8_t *)y;
    if (n > 16)
        return memcmp(p, q, n) == 0;
    if (n >= 8)
        return ag_load64(p) == ag_load64(q) && ag_load64(p + n - 8) == ag_load64(q + n - 8);
    if (n >= 4)
        return ag_load32(p) == ag_load32(q) && ag_load32(p + n - 4) == ag_load32(q + n - 4);
    return n == 0 || (p[0] == q[0] && p[n / 2] == q[n / 2] && p[n - 1] == q[n - 1]);
}

/* merge.c: cut a word into tokens. */
#define AG_SHORT_WORD 40 /* symbols merged in arrays */
typedef struct ag_short_word {
    int32_t id[AG_SHORT_WORD];
    uint32_t at[AG_SHORT_WORD + 1]; /* start of each symbol; at[n] is the end of the word */
    uint32_t order[AG_SHORT_WORD];  /* of the pair (i, i + 1) */
    int32_t to[AG_SHORT_WORD];      /* what it becomes */
    size_t n;
} ag_short_word;

typedef struct ag_merger {
    const ag_tokenizer *t;
    ag_ids *out;
    size_t unk_end; /* SPM: ids in out when an unknown was last added, else 0 */
    bool met_unk;   /* the word has an unknown, so its ids depend on the word before */
    ag_short_word short_word;
    void *syms, *heap; /* owned scratch; for long words only */
    size_t syms_room, heap_room;
    void *cache; /* owned; words seen lately, or NULL */
    size_t cache_mask;
} ag_merger;
/* A text of this size comes: long ones get a cache of words, if there is memory for it. */
void ag_merger_expect(ag_merger *m, size_t text_bytes);
ag_code ag_merge_word(ag_merger *m, const uint8_t *word, size_t n, ag_err *err) AG_MUST_USE;
void ag_merger_deinit(ag_merger *m);

/* Order in which SPM merges, from a score: higher scores come first. */
uint32_t ag_order_of_score(float score);

/* wordpiece.c: what a token decodes to, into out, which holds raw.n + 1 bytes; the ids that frame a
 * text; the ids of a piece of valid UTF-8, whose normalised text goes to `room`. */
size_t ag_wordpiece_bytes(ag_span raw, uint8_t type, char *out);
ag_code ag_wordpiece_habits(ag_tokenizer *t, const struct ag_source *g, ag_err *err) AG_MUST_USE;
ag_code ag_wordpiece_encode(const ag_tokenizer *t, ag_span piece, ag_buf *room, ag_ids *out,
                            ag_err *err) AG_MUST_USE;

/* infill.c: find the tokens that mark texts before and behind, unless the file named them. */
void ag_vocab_find_infill(ag_tokenizer *t);

/* stops.c: the control or added token with this text, or -1; fill stops from the ids the file names
 * and from well-known texts. */
int32_t ag_vocab_find_added(const ag_tokenizer *t, const char *text);
void ag_vocab_add_stop(ag_tokenizer *t, int32_t id);
void ag_vocab_add_known_stops(ag_tokenizer *t);

#endif
