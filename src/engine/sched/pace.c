#include "sched/pace.h"

#define KEEP     0.95 /* of what earlier samples weigh */
#define SWEEPS   16   /* of the descent, a sample */
#define SURE     4    /* samples after which one that is far off is cut down */
#define FAR      3.0  /* times what was expected */
#define SPARE    0.75 /* a step with prompts may take 1.75 times as long */
#define PROGRESS 8    /* prompts get at least an eighth of a decoding step, target or not */
#define BLIND    16   /* rows of a prompt beside decoding sequences while nothing is known */

/* Units that bring the terms near 1. */
#define ROWS  8.0
#define LOOKS 8192.0

static double predict(const ag_fit *f, const double *x) {
    double y = 0;
    for (int i = 0; i < AG_FIT_TERMS; i++)
        y += f->by[i] * x[i];
    return y;
}

static void descend(ag_fit *f) {
    for (int sweep = 0; sweep < SWEEPS; sweep++)
        for (int i = 0; i < AG_FIT_TERMS; i++) {
            double rest = f->xy[i];
            for (int j = 0; j < AG_FIT_TERMS; j++)
                rest -= j != i ? f->xx[i][j] * f->by[j] : 0;
            if (f->xx[i][i] > 1e-9)
                f->by[i] = rest > 0 ? rest / f->xx[i][i] : 0;
        }
}

static void learn(ag_fit *f, const double *x, double y) {
    double expected = predict(f, x);
    if (f->n >= SURE && y > FAR * expected)
        y = FAR * expected;
    f->n += f->n < SURE;
    for (int i = 0; i < AG_FIT_TERMS; i++) {
        for (int j = 0; j < AG_FIT_TERMS; j++)
            f->xx[i][j] = KEEP * f->xx[i][j] + x[i] * x[j];
        f->xy[i] = KEEP * f->xy[i] + x[i] * y;
    }
    descend(f);
}

static void decode_terms(const ag_load *l, double *x) {
    x[0] = 1;
    x[1] = l->decoding / ROWS;
    x[2] = l->decode_looks / LOOKS;
}

double ag_pace_quiet_us(const ag_pace *p, const ag_load *load) {
    double x[AG_FIT_TERMS];
    decode_terms(load, x);
    return predict(&p->decode, x);
}

double ag_pace_decode_row_us(const ag_pace *p) { return p->decode.by[1] / ROWS; }

/* What one of `rows` rows of a prompt costs, when they look back at `looks` tokens each. */
static double row_us(const ag_pace *p, double looks) {
    const double x[AG_FIT_TERMS] = {1 / ROWS, looks / LOOKS, 0};
    return predict(&p->prefill, x);
}

void ag_pace_learn(ag_pace *p, const ag_load *load, double us) {
    double x[AG_FIT_TERMS];
    if (load->prefill == 0) {
        decode_terms(load, x);
        learn(&p->decode, x, us);
        return;
    }
    double added = us - ag_pace_quiet_us(p, load);
    x[0] = load->prefill / ROWS;
    x[1] = load->prefill_looks / LOOKS;
    x[2] = 0;
    learn(&p->prefill, x, added > 0 ? added : 0);
}

double ag_pace_spare_us(const ag_pace *p, const ag_load *load) {
    if (load->decoding == 0)
        return -1;
    double quiet = ag_pace_quiet_us(p, load);
    if (p->decode.n == 0 || p->prefill.n == 0)
        return 0;
    if (!(p->target_us > 0))
        return SPARE * quiet;
    double spare = p->target_us - quiet;
    return spare > quiet / PROGRESS ? spare : quiet / PROGRESS;
}

int ag_pace_rows(const ag_pace *p, int stored, int n, double *us) {
    if (*us < 0)
        return n;
    if (p->prefill.n == 0) {
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
