#include "sample/forbidden.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

ag_code ag_forbidden_init(ag_forbidden *f, const ag_token_sequence *sequences, size_t n,
                          ag_err *err) {
    size_t n_ids = 0;
    *f = (ag_forbidden){0};
    if (n == 0)
        return AG_OK;
    for (size_t i = 0; i < n; i++)
        n_ids += sequences[i].n;
    f->ids = ag_calloc(AG_ROOM_SAMPLE, n_ids, sizeof *f->ids);
    f->ends = ag_calloc(AG_ROOM_SAMPLE, n, sizeof *f->ends);
    if (!f->ids || !f->ends) {
        ag_forbidden_deinit(f);
        return ag_fail(err, AG_E_NOMEM, "no memory for %zu forbidden sequences", n);
    }
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(f->ids + at, sequences[i].ids, sequences[i].n * sizeof *f->ids);
        f->ends[i] = at += sequences[i].n;
        f->longest = sequences[i].n > f->longest ? sequences[i].n : f->longest;
    }
    f->n = n;
    return AG_OK;
}

void ag_forbidden_deinit(ag_forbidden *f) {
    ag_free(f->ids);
    ag_free(f->ends);
    *f = (ag_forbidden){0};
}

/* Does the history end in these tokens? */
static bool ends_in(const ag_history *h, const int32_t *ids, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (ag_history_back(h, i) != ids[n - 1 - i])
            return false;
    return true;
}

void ag_forbidden_apply(const ag_forbidden *f, const ag_history *h, uint64_t n_answer, float *x) {
    size_t begin = 0;
    for (size_t i = 0; i < f->n; begin = f->ends[i++]) {
        const size_t n_before = f->ends[i] - begin - 1;
        if (n_before <= n_answer && ends_in(h, f->ids + begin, n_before))
            x[f->ids[f->ends[i] - 1]] = -INFINITY;
    }
}
