#include "sample/dry.h"

#include "base/error.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

typedef struct longer {
    int32_t ids[AG_DRY_MAX_SEQUENCE];
    uint32_t n;
} longer;

struct ag_dry_breakers {
    uint64_t *single; /* bit per token: a breaker by itself */
    longer *longer;   /* [n_longer] sequences of two and more, by their first token */
    size_t n_longer;
    size_t max_n; /* tokens in the longest sequence */
    int32_t n_vocab;
};

static bool has_bit(const uint64_t *bits, int32_t id) { return bits[id >> 6] >> (id & 63) & 1; }
static void set_bit(uint64_t *bits, int32_t id) { bits[id >> 6] |= 1ull << (id & 63); }

static ag_code check_sequences(const ag_dry_sequence *seqs, size_t n, int32_t n_vocab,
                               size_t *n_longer, ag_err *err) {
    if (n > AG_DRY_MAX_SEQUENCES)
        return ag_fail(err, AG_E_LIMIT, "%zu DRY breaker sequences; at most %u are allowed", n,
                       AG_DRY_MAX_SEQUENCES);
    for (size_t i = 0; i < n; i++) {
        if (seqs[i].n == 0)
            return ag_fail(err, AG_E_ARG, "DRY breaker sequence %zu is empty", i);
        for (size_t j = 0; j < seqs[i].n; j++) {
            if (seqs[i].ids[j] < 0 || seqs[i].ids[j] >= n_vocab)
                return ag_fail(err, AG_E_ARG, "DRY breaker sequence %zu: token %d is outside 0..%d",
                               i, (int)seqs[i].ids[j], (int)n_vocab - 1);
        }
        *n_longer += seqs[i].n > 1;
    }
    if (*n_longer > AG_DRY_MAX_LONGER)
        return ag_fail(err, AG_E_LIMIT,
                       "%zu DRY breaker sequences of several tokens; at most %u are allowed",
                       *n_longer, AG_DRY_MAX_LONGER);
    return AG_OK;
}

static void add_sequence(ag_dry_breakers *b, const ag_dry_sequence *seq) {
    const size_t n = seq->n < AG_DRY_MAX_SEQUENCE ? seq->n : AG_DRY_MAX_SEQUENCE;
    b->max_n = n > b->max_n ? n : b->max_n;
    if (n == 1) {
        set_bit(b->single, seq->ids[0]);
        return;
    }
    longer *l = &b->longer[b->n_longer++];
    memcpy(l->ids, seq->ids, n * sizeof *seq->ids);
    l->n = (uint32_t)n;
}

static int by_head(const void *a, const void *b) {
    const int32_t x = ((const longer *)a)->ids[0], y = ((const longer *)b)->ids[0];
    return (x > y) - (x < y);
}

/* Index of the first sequence whose head is at least id. */
static size_t first_longer(const ag_dry_breakers *b, int32_t id) {
    size_t lo = 0, hi = b->n_longer;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (b->longer[mid].ids[0] < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

ag_code ag_dry_breakers_new(const ag_dry_sequence *sequences, size_t n, int32_t n_vocab,
                            ag_dry_breakers **out, ag_err *err) {
    size_t n_longer = 0;
    *out = NULL;
    ag_code code = check_sequences(sequences, n, n_vocab, &n_longer, err);
    if (code)
        return code;
    const size_t n_words = (size_t)n_vocab / 64 + 1;
    ag_dry_breakers *b = ag_calloc(AG_ROOM_SAMPLE, 1, sizeof *b);
    if (b) {
        b->single = ag_calloc(AG_ROOM_SAMPLE, n_words, sizeof *b->single);
        b->longer = ag_calloc(AG_ROOM_SAMPLE, n_longer, sizeof *b->longer);
        b->n_vocab = n_vocab;
    }
    if (!b || !b->single || !b->longer) {
        ag_dry_breakers_free(&b);
        return ag_fail(err, AG_E_NOMEM, "no memory for %zu DRY breaker sequences", n);
    }
    for (size_t i = 0; i < n; i++)
        add_sequence(b, &sequences[i]);
    if (b->n_longer)
        qsort(b->longer, b->n_longer, sizeof *b->longer, by_head);
    *out = b;
    return AG_OK;
}

void ag_dry_breakers_free(ag_dry_breakers **b) {
    if (!*b)
        return;
    ag_free((*b)->single);
    ag_free((*b)->longer);
    ag_free(*b);
    *b = NULL;
}

/* Tokens of the longest breaker whose head is the i-th newest token and which the text completes;
 * 0 when there is none. */
static size_t breaker_at(const ag_dry_breakers *b, const ag_history *h, size_t i) {
    const int32_t id = ag_history_back(h, i);
    if (id < 0 || id >= b->n_vocab)
        return 0;
    size_t best = has_bit(b->single, id);
    for (size_t k = first_longer(b, id); k < b->n_longer && b->longer[k].ids[0] == id; k++) {
        const longer *l = &b->longer[k];
        if (l->n <= best || l->n > i + 1)
            continue;
        size_t j = 1;
        while (j < l->n && l->ids[j] == ag_history_back(h, i - j))
            j++;
        if (j == l->n)
            best = j;
    }
    return best;
}

/* How many of the newest n tokens lie behind every breaker. */
static size_t tokens_since_breaker(const ag_dry_breakers *b, const ag_history *h, size_t n) {
    size_t since = n;
    /* An older head can still end nearer to the text's end, by the length of its sequence. */
    for (size_t i = 0; b && i < n && i + 1 < since + b->max_n; i++) {
        const size_t len = breaker_at(b, h, i);
        if (len && i + 1 - len < since)
            since = i + 1 - len;
    }
    return since;
}

/* match[k] = how many tokens of the text, read backwards from its end, are also read backwards from
 * k tokens before the end. The Z function of the reversed text (Gusfield 1997): [left, right) is
 * the match found so far that reaches furthest, and inside it the answer is already known or
 * starts there; each token is compared once. */
static void match_backwards(const ag_history *h, uint32_t *match, size_t n) {
    size_t left = 0, right = 0;
    for (size_t k = 1; k < n; k++) {
        size_t len = 0;
        if (k < right) {
            const size_t known = match[k - left];
            len = known < right - k ? known : right - k;
        }
        if (k + len >= right) {
            while (k + len < n && ag_history_back(h, len) == ag_history_back(h, k + len))
                len++;
            left = k;
            right = k + len;
        }
        match[k] = (uint32_t)len;
    }
}

/* multiplier * base^n. Far below FLT_MAX, so that a penalty alone never forbids a token. */
static float penalty_of(const ag_dry *d, size_t n) {
    const double most = 1e30;
    double power = 1, square = (double)d->base;
    for (; n && power < most; n >>= 1) {
        power *= n & 1 ? square : 1;
        square = square < most ? square * square : square;
    }
    const double penalty = power * (double)d->multiplier;
    return (float)(penalty < most ? penalty : most);
}

void ag_dry_apply(const ag_dry *d, const ag_history *h, ag_sample_scratch *s, float *x) {
    size_t n = ag_history_n(h);
    n = n < d->window ? n : d->window;
    if (n <= d->allowed)
        return;
    const size_t limit = tokens_since_breaker(d->breakers, h, n);
    if (limit < d->allowed)
        return;
    match_backwards(h, d->match, n);
    /* The token after the match that ends k tokens before the end is the (k - 1)th newest. First
     * the longest match for each token, then one penalty each. */
    for (size_t k = 1; k < n; k++) {
        const size_t len = d->match[k] < limit ? d->match[k] : limit;
        const int32_t id = ag_history_back(h, k - 1);
        if (len >= d->allowed && id >= 0 && id < s->n_vocab && (int32_t)len > s->reach[id])
            s->reach[id] = (int32_t)len;
    }
    for (size_t k = 1; k < n; k++) {
        const int32_t id = ag_history_back(h, k - 1);
        if (id < 0 || id >= s->n_vocab || !s->reach[id])
            continue;
        if (!d->breakers || !has_bit(d->breakers->single, id))
            x[id] -= penalty_of(d, (size_t)s->reach[id] - d->allowed);
        s->reach[id] = 0;
    }
}
