/* How long a step takes, learned from the steps themselves, and how many rows of prompts it may
 * carry so that decoding streams keep their pace.
 *
 *   step = a + b * decoding + c * what they look back at + d * rows of prompts + e * what these do
 *
 * The coefficients are never negative and follow the last few dozen steps: least squares under
 * exponential forgetting, solved by coordinate descent from where they were, so that what the steps
 * say nothing about stays as it was. All are learned from every step: while prompts wait there are
 * no steps without them, and the number of streams changes then.
 *
 * No clock in here: the caller measures. Thread: engine. */
#ifndef AG_SCHED_PACE_H
#define AG_SCHED_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* What a step carries. */
typedef struct ag_load {
    int decoding;         /* rows of sequences that bring one token */
    double decode_looks;  /* tokens that they look back at together */
    int prefill;          /* rows of prompts */
    double prefill_looks; /* tokens that these look back at, summed over rows */
} ag_load;

#define AG_PACE_TERMS 5

typedef struct ag_pace {
    double xx[AG_PACE_TERMS][AG_PACE_TERMS], xy[AG_PACE_TERMS];
    double by[AG_PACE_TERMS]; /* the coefficients */
    int n_decode, n_prefill;  /* samples with such rows, up to a few */
    double target_us; /* of a step that carries decoding sequences; 0: relative to them alone */
} ag_pace;

/* A step of this load took so long. */
void ag_pace_learn(ag_pace *p, const ag_load *load, double us);
/* Time of a step of decoding sequences alone; 0: not known yet. */
double ag_pace_quiet_us(const ag_pace *p, const ag_load *load);
/* What one more decoding row costs, no less than a row of a prompt; 0: not known. */
double ag_pace_decode_row_us(const ag_pace *p);
/* Time that `n_reading` prompts may add to a step of `load` (whose prefill is not looked at): 0
 * while nothing is known, negative (no bound) without decoding sequences. Without a target, one
 * prompt at most halves the pace of the streams; where more wait, the step may take as long as if
 * the others were streams already, which they will be, and longer the more they and the streams
 * are: what many wait for most is to be read. While a step is short in itself it may take more of
 * them. */
double ag_pace_spare_us(const ag_pace *p, const ag_load *load, int n_reading);
/* Most rows, up to n, of a prompt of which `stored` tokens are done, that add at most *us (no bound
 * when negative), but at least one; what they add is taken off *us. */
int ag_pace_rows(const ag_pace *p, int stored, int n, double *us);

#endif
