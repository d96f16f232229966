/* How long a step takes, learned from the steps themselves, and how many rows of prompts it may
 * carry so that decoding streams keep their pace.
 *
 *   step = a + b * decoding + c * what they look back at        learned from steps without prompts
 *        + rows * (d + e * what a row looks back at)            learned from what prompts add to it
 *
 * The coefficients are never negative and follow the last few dozen steps of their kind: least
 * squares under exponential forgetting, solved by coordinate descent from where they were, so that
 * what the steps say nothing about stays as it was.
 *
 * No clock in here: the caller measures. Thread: engine. */
#ifndef AG_SCHED_PACE_H
#define AG_SCHED_PACE_H

#include <stdint.h>

#define AG_FIT_TERMS 3

typedef struct ag_fit {
    double xx[AG_FIT_TERMS][AG_FIT_TERMS], xy[AG_FIT_TERMS];
    double by[AG_FIT_TERMS]; /* the coefficients */
    int n;                   /* samples, up to a few */
} ag_fit;

/* What a step carries. */
typedef struct ag_load {
    int decoding;         /* rows of sequences that bring one token */
    double decode_looks;  /* tokens that they look back at together */
    int prefill;          /* rows of prompts */
    double prefill_looks; /* tokens that these look back at, summed over rows */
} ag_load;

typedef struct ag_pace {
    ag_fit decode, prefill;
    double target_us; /* of a step that carries decoding sequences; 0: relative to them alone */
} ag_pace;

/* A step of this load took so long. */
void ag_pace_learn(ag_pace *p, const ag_load *load, double us);
/* Time of a step of decoding sequences alone; 0: not known yet. */
double ag_pace_quiet_us(const ag_pace *p, const ag_load *load);
/* What one more decoding row costs; 0: not known. */
double ag_pace_decode_row_us(const ag_pace *p);
/* Time that prompts may add to a step of `load` (whose prefill is not looked at): 0 while nothing
 * is known, negative (no bound) without decoding sequences. */
double ag_pace_spare_us(const ag_pace *p, const ag_load *load);
/* Most rows, up to n, of a prompt of which `stored` tokens are done, that add at most *us (no bound
 * when negative), but at least one; what they add is taken off *us. */
int ag_pace_rows(const ag_pace *p, int stored, int n, double *us);

#endif
