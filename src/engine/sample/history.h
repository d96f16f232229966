/* What one sequence has seen: the last tokens in order and how often each occurred. Serves the
 * repetition, frequency and presence penalties and DRY.
 *
 * Memory is reserved at init and bounded by n_context: a ring of the tokens some window may still
 * look at, and one tally per distinct token. Thread: engine.
 * Invariant: seen == occurrences among the last `window` tokens; answer == times generated.
 */
#ifndef AG_SAMPLE_HISTORY_H
#define AG_SAMPLE_HISTORY_H

#include "autoglm/error.h"
#include "sample/mass.h"

typedef struct ag_tally {
    int32_t id;
    uint32_t seen;   /* in the window, prompt and answer */
    uint32_t answer; /* generated, no window */
} ag_tally;

typedef struct ag_history {
    int32_t *ring;     /* [ring_mask + 1] owned; NULL when no window looks back */
    ag_tally *tallies; /* [max_tallies] owned; NULL when nothing is counted */
    uint32_t *slots;   /* [slot_mask + 1] owned; hash id -> 1 + index of its tally; 0: free */
    uint64_t n;        /* tokens pushed */
    size_t ring_mask, slot_mask;
    size_t max_tallies, n_tallies;
    size_t window; /* tokens `seen` looks back; 0: none */
    int32_t n_vocab;
} ag_history;

typedef struct ag_history_opts {
    int32_t n_vocab;
    size_t n_context; /* tokens the sequence may reach; tokens past it are no longer tallied */
    size_t window;    /* of `seen` */
    size_t look_back; /* tokens ag_history_back() must reach */
    bool counts;      /* keep tallies */
} ag_history_opts;

/* AG_E_NOMEM; on failure nothing is held. */
ag_code ag_history_init(ag_history *h, const ag_history_opts *opts, ag_err *err) AG_MUST_USE;
void ag_history_deinit(ag_history *h);
/* Append a token. Ids outside the vocabulary (places of images) keep their position, uncounted. */
void ag_history_push(ag_history *h, int32_t id, bool is_answer);
/* Tokens that can be looked back at. */
static inline size_t ag_history_n(const ag_history *h) {
    if (!h->ring)
        return 0;
    return h->n < h->ring_mask + 1 ? (size_t)h->n : h->ring_mask + 1;
}
/* The i-th newest token, i < ag_history_n(). */
static inline int32_t ag_history_back(const ag_history *h, size_t i) {
    return h->ring[(h->n - 1 - i) & h->ring_mask];
}

#endif
