#include "sample/history.h"

#include "base/error.h"
#include "base/hash.h"
#include "base/mem.h"

static size_t pow2_from(size_t n) {
    size_t p = 1;
    while (p < n)
        p *= 2;
    return p;
}

ag_code ag_history_init(ag_history *h, const ag_history_opts *opts, ag_err *err) {
    *h = (ag_history){.window = opts->window, .n_vocab = opts->n_vocab};
    const size_t look_back = opts->look_back > opts->window ? opts->look_back : opts->window;
    if (look_back) {
        h->ring_mask = pow2_from(look_back) - 1;
        h->ring = ag_calloc(AG_ROOM_SAMPLE, h->ring_mask + 1, sizeof *h->ring);
        if (!h->ring)
            goto nomem;
    }
    if (opts->counts) {
        const size_t n_vocab = (size_t)opts->n_vocab;
        h->max_tallies = opts->n_context < n_vocab ? opts->n_context : n_vocab;
        h->slot_mask = pow2_from(2 * h->max_tallies) - 1; /* at most half full */
        h->tallies = ag_calloc(AG_ROOM_SAMPLE, h->max_tallies, sizeof *h->tallies);
        h->slots = ag_calloc(AG_ROOM_SAMPLE, h->slot_mask + 1, sizeof *h->slots);
        if (!h->tallies || !h->slots)
            goto nomem;
    }
    return AG_OK;
nomem:
    ag_history_deinit(h);
    return ag_fail(err, AG_E_NOMEM, "no memory for the penalties' history of %zu tokens",
                   opts->n_context);
}

void ag_history_deinit(ag_history *h) {
    ag_free(h->ring);
    ag_free(h->tallies);
    ag_free(h->slots);
    *h = (ag_history){0};
}

/* The tally of id, made on first sight; NULL when there is no place left for another token. */
static ag_tally *tally_of(ag_history *h, int32_t id) {
    size_t slot = (size_t)ag_mix64((uint32_t)id, 0x9e3779b97f4a7c15ull) & h->slot_mask;
    for (; h->slots[slot]; slot = (slot + 1) & h->slot_mask) {
        if (h->tallies[h->slots[slot] - 1].id == id)
            return &h->tallies[h->slots[slot] - 1];
    }
    if (h->n_tallies == h->max_tallies)
        return NULL;
    h->tallies[h->n_tallies] = (ag_tally){.id = id};
    h->slots[slot] = (uint32_t)++h->n_tallies;
    return &h->tallies[h->n_tallies - 1];
}

static void leave_window(ag_history *h, int32_t id) {
    ag_tally *t = id >= 0 && id < h->n_vocab ? tally_of(h, id) : NULL;
    if (t && t->seen)
        t->seen--;
}

void ag_history_push(ag_history *h, int32_t id, bool is_answer) {
    if (h->tallies) {
        if (h->window && h->n >= h->window)
            leave_window(h, ag_history_back(h, h->window - 1));
        ag_tally *t = id >= 0 && id < h->n_vocab ? tally_of(h, id) : NULL;
        if (t) {
            t->seen += h->window > 0;
            t->answer += is_answer;
        }
    }
    if (h->ring)
        h->ring[h->n & h->ring_mask] = id;
    h->n++;
}
