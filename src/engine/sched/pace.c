#include "sched/pace.h"

#include <math.h>

#define KEEP     0.95  /* of what earlier samples weigh */
#define SWEEPS   16    /* of the descent, a sample */
#define SURE     4     /* samples after which one that is far off is cut down */
#define FAR      3.0   /* times what was expected */
#define SPARE    0.65  /* of a quiet step that a prompt may add: what it really adds varies */
#define FEW      0.75  /* the same of several prompts while they and the streams are few, */
#define MANY     3.0   /* when they are many: then waiting takes longer than reading, */
#define EACH     0.1   /* and between, for each of both, */
#define WAITING  0.5   /* but so much at most for each prompt */
#define SHORT_US 250e3 /* of a step: no long pause in a text */
#define PROGRESS 8     /* prompts get at least an eighth of a decoding step, target or not */
#define BLIND    16    /* rows of a prompt beside decoding sequences while nothing is known */

/* Units that bring the terms near 1. */
#define ROWS  8.0
#define LOOKS 8192.0

static double predict(const ag_pace *p, const double *x) {
    double y = 0;
    for (int i = 0; i < AG_PACE_TERMS; i++)
        y += p->by[i] * x[i];
    return y;
}

/* Rows of prompts go first: what one sample does not tell apart is theirs, then the constant's. */
static void descend(ag_pace *p) {
    static const int order[AG_PACE_TERMS] = {3, 0, 1, 2, 4};
    for (int sweep = 0; sweep < SWEEPS; sweep++)
        for (int k = 0; k < AG_PACE_TERMS; k++) {
            int i = order[k];
            double rest = p->xy[i];
            for (int j = 0; j < AG_PACE_TERMS; j++)
                rest -= j != i ? p->xx[i][j] * p->by[j] : 0;
            if (p->xx[i][i] > 1e-9)
                p->by[i] = rest > 0 ? rest / p->xx[i][i] : 0;
        }
}

static void terms(const ag_load *l, double *x) {
    x[0] = 1;
    x[1] = l->decoding / ROWS;
    x[2] = l->decode_looks / LOOKS;
    x[3] = l->prefill / ROWS;
    x[4] = l->prefill_looks / LOOKS;
}

double ag_pace_quiet_us(const ag_pace *p, const ag_load *load) {
    double x[AG_PACE_TERMS];
    terms(&(ag_load){.decoding = load->decoding, .decode_looks = load->decode_looks}, x);
    return predict(p, x);
}

/* A stream alone never says what a second row would cost: all its steps have one, and what they add
 * as it grows passes for any of the terms. */
double ag_pace_decode_row_us(const ag_pace *p) {
    return (p->by[1] > p->by[3] ? p->by[1] : p->by[3]) / ROWS;
}

/* What a row of a prompt costs that looks back at `looks` tokens. */
static double row_us(const ag_pace *p, double looks) {
    return p->by[3] / ROWS + p->by[4] * looks / LOOKS;
}

static bool is_known(int n) { return n >= SURE; }

void ag_pace_learn(ag_pace *p, const ag_load *load, double us) {
    double x[AG_PACE_TERMS];
    terms(load, x);
    double most = FAR * predict(p, x);
    bool known = (load->decoding == 0 || is_known(p->n_decode)) &&
                 (load->prefill == 0 || is_known(p->n_prefill));
    if (known && us > most)
        us = most;
    p->n_decode += load->decoding > 0 && !is_known(p->n_decode);
    p->n_prefill += load->prefill > 0 && !is_known(p->n_prefill);
    for (int i = 0; i < AG_PACE_TERMS; i++) {
        for (int j = 0; j < AG_PACE_TERMS; j++)
            p->xx[i][j] = KEEP * p->xx[i][j] + x[i] * x[j];
        p->xy[i] = KEEP * p->xy[i] + x[i] * us;
    }
    descend(p);
}

/* A whole step without a target. Where it stays short it may grow with the square of `more`: of few
 * streams that changes little, of many it reads a burst in a few steps. */
static double relative_step_us(const ag_pace *p, const ag_load *load, int n_reading) {
    if (n_reading < 2)
        return (1 + SPARE) * ag_pace_quiet_us(p, load);
    ag_load all = *load;
    all.decoding += n_reading - 1;
    double quiet = ag_pace_quiet_us(p, &all);
    double more = fmin(all.decoding * EACH, n_reading * WAITING);
    more = fmin(fmax(more, FEW), MANY);
    return fmax((1 + more) * quiet, fmin((1 + more + more * more) * quiet, SHORT_US));
}

double ag_pace_spare_us(const ag_pace *p, const ag_load *load, int n_reading) {
    if (load->decoding == 0)
        return -1;
    double quiet = ag_pace_quiet_us(p, load);
    if (p->n_decode == 0 || p->n_prefill == 0)
        return 0;
    if (!(p->target_us > 0))
        return relative_step_us(p, load, n_reading) - quiet;
    double spare = p->target_us - quiet;
    return spare > quiet / PROGRESS ? spare : quiet / PROGRESS;
}

int ag_pace_rows(const ag_pace *p, int stored, int n, double *us) {
    if (*us < 0)
        return n;
    if (p->n_prefill == 0) {
        *us = 0;
        return n < BLIND ? n : BLIND;
    }
    int rows = n;
    for (int round = 0; round < 3; round++) { /* they look back at each other: near enough */
        double each = row_us(p, stored + rows / 2.0);
        rows = each * n > *us ? (int)(*us / each) : n;
    }
    if (rows < 1)
        rows = 1;
    double left = *us - rows * row_us(p, stored + rows / 2.0);
    *us = left > 0 ? left : 0;
    return rows;
}
