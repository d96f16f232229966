#include "text/bpe.h"

#include "base/hash.h"
#include "base/limits.h"

#define MAX_RULE_BYTES 4096 /* of one merge rule; real ones have up to a few hundred */

/* A rule in bytes: left and right lie side by side, so that together they are the result. */
typedef struct rule {
    char bytes[MAX_RULE_BYTES];
    size_t n_left, n_right;         /* bytes */
    size_t raw_left_n, raw_right_n; /* as stand-ins */
} rule;

/* The key that a raw text stands for: its bytes in a byte-level BPE, itself in SPM. */
static size_t key_of(const ag_tokenizer *t, ag_span raw, char *out) {
    if (t->kind == AG_VOCAB_BPE)
        return ag_bytes_from_standins(raw, out);
    memcpy(out, raw.p, raw.n);
    return raw.n;
}

/* Split at the first space behind the first character. False when the rule can name no tokens. */
static bool parse_rule(const ag_tokenizer *t, ag_span s, rule *r) {
    if (s.n < 3 || s.n > MAX_RULE_BYTES)
        return false;
    const char *space = memchr(s.p + 1, ' ', s.n - 1);
    if (!space)
        return false;
    r->raw_left_n = (size_t)(space - s.p);
    r->raw_right_n = s.n - r->raw_left_n - 1;
    if (r->raw_right_n == 0)
        return false;
    r->n_left = key_of(t, ag_span_sub(s, 0, r->raw_left_n), r->bytes);
    if (r->n_left == SIZE_MAX)
        return false;
    r->n_right = key_of(t, ag_span_sub(s, r->raw_left_n + 1, s.n), r->bytes + r->n_left);
    return r->n_right != SIZE_MAX && r->n_right > 0;
}

/* The result of a rule. Rules mostly stand in the order of their results, so the token behind the
 * last result is tried before the index. */
static int32_t find_result(const ag_tokenizer *t, const rule *r, int32_t last) {
    ag_span key = {r->bytes, r->n_left + r->n_right};
    size_t raw_n = r->raw_left_n + r->raw_right_n;
    int32_t guess = last + 1;
    if (guess < t->n && t->type[guess] == AG_TOKEN_NORMAL && ag_vocab_raw(t, guess).n == raw_n &&
        ag_span_eq(ag_vocab_key(t, guess), key))
        return guess;
    return ag_vocab_find_key(t, key, raw_n, false);
}

static void insert(ag_tokenizer *t, ag_merge_slot m) {
    uint64_t key = (uint64_t)(uint32_t)m.left << 32 | (uint32_t)m.right;
    size_t at = ag_mix64(key ^ t->seed, 0x9E3779B97F4A7C15u) & t->merge_mask;
    for (; t->merges[at].left >= 0; at = (at + 1) & t->merge_mask)
        if (t->merges[at].left == m.left && t->merges[at].right == m.right)
            break;
    t->merges[at] = m;
}

static void find_bytes(ag_tokenizer *t) {
    for (int b = 0; b < 256; b++) {
        char c = (char)b;
        bool plain = (b >= 0x21 && b <= 0x7E);
        t->byte_id[b] = ag_vocab_find_key(t, ag_span_of(&c, 1), plain ? 1 : 2, false);
    }
}

ag_code ag_bpe_rules(ag_tokenizer *t, const ag_value *merges, ag_err *err) {
    uint64_t n = merges->a.n;
    if (n > AG_MAX_VOCAB)
        return ag_fail(err, AG_E_LIMIT, "%llu merge rules are too many; up to %u are taken",
                       (unsigned long long)n, AG_MAX_VOCAB);
    size_t n_slots = 16;
    while (n_slots < n + n / 2)
        n_slots *= 2;
    t->merges = ag_alloc(AG_ROOM_TEXT, n_slots * sizeof *t->merges);
    if (!t->merges)
        return ag_fail(err, AG_E_NOMEM, "out of memory for %llu merge rules",
                       (unsigned long long)n);
    memset(t->merges, 0xFF, n_slots * sizeof *t->merges); /* left -1 */
    t->merge_mask = n_slots - 1;
    if (t->kind == AG_VOCAB_BPE)
        find_bytes(t);
    size_t at = 0;
    int32_t last = -1;
    rule r;
    for (uint32_t rank = 0; rank < n; rank++) {
        if (!parse_rule(t, ag_value_next_str(merges, &at), &r))
            continue;
        int32_t left = ag_vocab_find_key(t, ag_span_of(r.bytes, r.n_left), r.raw_left_n, false);
        int32_t right =
            ag_vocab_find_key(t, ag_span_of(r.bytes + r.n_left, r.n_right), r.raw_right_n, false);
        int32_t id = left >= 0 && right >= 0 ? find_result(t, &r, last) : -1;
        if (id < 0)
            continue;
        last = id;
        insert(t, (ag_merge_slot){left, right, rank, id});
    }
    return AG_OK;
}
