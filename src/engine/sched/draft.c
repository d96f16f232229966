#include "sched/draft.h"

#include <string.h>

#define LONGEST   4     /* tokens that must have stood there before, longest first */
#define SHORTEST  2     /* fewer are found everywhere */
#define LOOK_BACK 16384 /* tokens that are searched: microseconds */
#define FIRST     0.8   /* the rate before anything is known: a wrong guess or two are cheap */
#define LEARN     0.15
#define TRY_ANEW  64 /* tokens after which a text may have become another */

void ag_draft_init(ag_draft *d, int most, bool always) {
    *d = (ag_draft){
        .most = most < AG_MAX_DRAFT ? most : AG_MAX_DRAFT, .always = always, .rate = FIRST};
}

/* Where the latest earlier copy of the last `gram` tokens ends; 0: nowhere. */
static int find_copy(const int32_t *ids, int n_ids, int gram) {
    const int32_t *last = ids + n_ids - gram;
    int first = n_ids > LOOK_BACK ? n_ids - LOOK_BACK : 0;
    for (int at = n_ids - gram - 1; at >= first; at--)
        if (ids[at] == last[0] && memcmp(ids + at, last, (size_t)gram * sizeof *ids) == 0)
            return at + gram;
    return 0;
}

int ag_draft_find(const int32_t *ids, int n_ids, int n, int32_t *out) {
    for (int gram = LONGEST; gram >= SHORTEST; gram--) {
        int from = n_ids > gram ? find_copy(ids, n_ids, gram) : 0;
        if (from == 0)
            continue;
        /* A copy that overlaps the end repeats itself. */
        for (int i = 0; i < n; i++)
            out[i] = from + i < n_ids ? ids[from + i] : out[from + i - n_ids];
        return n;
    }
    return 0;
}

void ag_draft_note(ag_draft *d, int n, int n_true) {
    for (int i = 0; i < n_true; i++)
        d->rate += LEARN * (1 - d->rate);
    if (n_true < n)
        d->rate -= LEARN * d->rate;
    d->silent = n > 0 ? 0 : d->silent + 1;
    if (d->silent >= TRY_ANEW) {
        d->silent = 0;
        d->rate = d->rate > FIRST ? d->rate : FIRST;
    }
}

int ag_draft_worth(const ag_draft *d, int n, double token_us, double row_us) {
    if (d->always)
        return n;
    double comes = d->rate;
    int worth = 0;
    while (worth < n && comes * token_us > row_us) {
        comes *= d->rate;
        worth++;
    }
    return worth;
}
