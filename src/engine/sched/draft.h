/* Speculation by looking up: what followed the last few tokens when they stood in the sequence
 * before will perhaps follow again (prompt lookup; code, quotations, tables, loops). A draft is
 * checked in one step, at the price of its rows, and tokens are picked from the same logits in the
 * same order as without it, so answers are the same.
 *
 * How often drafts come true is measured for each sequence; policy.h decides by it and by what a
 * row costs how long a draft pays. Thread: engine. */
#ifndef AG_SCHED_DRAFT_H
#define AG_SCHED_DRAFT_H

#include <stdbool.h>
#include <stdint.h>

#define AG_MAX_DRAFT 16

typedef struct ag_draft {
    int most;    /* tokens of a draft; 0: off */
    bool always; /* whether it gains or not */
    double rate; /* how often a drafted token came true, lately */
    int silent;  /* tokens since the last draft was checked */
} ag_draft;

void ag_draft_init(ag_draft *d, int most, bool always);
/* Guess up to n tokens that follow ids[n_ids]; returns how many are in out[]. */
int ag_draft_find(const int32_t *ids, int n_ids, int n, int32_t *out);
/* Of n drafted tokens so many came true. */
void ag_draft_note(ag_draft *d, int n, int n_true);
/* How many of n tokens are worth checking, when a token is worth `token_us` (of a step, by each
 * sequence's part) and a row costs `row_us`. */
int ag_draft_worth(const ag_draft *d, int n, double token_us, double row_us);

#endif
