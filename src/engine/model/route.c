#include "model/route.h"

#include <math.h>

#include "base/limits.h"

/* Experts that cannot be chosen: taken already, or of a group that takes no part. */
typedef struct bitset {
    uint64_t word[AG_MAX_EXPERTS / 64];
} bitset;

static bool is_set(const bitset *b, int i) { return b->word[i / 64] >> (i % 64) & 1; }
static void set(bitset *b, int i) { b->word[i / 64] |= (uint64_t)1 << (i % 64); }

static void softmax(float *x, int n) {
    float most = -INFINITY, sum = 0;
    for (int i = 0; i < n; i++)
        most = x[i] > most ? x[i] : most;
    for (int i = 0; i < n; i++)
        sum += x[i] = expf(x[i] - most);
    for (int i = 0; i < n; i++)
        x[i] /= sum;
}

static void sigmoid(float *x, int n) {
    for (int i = 0; i < n; i++)
        x[i] = 1.0f / (1.0f + expf(-x[i]));
}

static float choice_of(const float *score, const float *bias, int i) {
    return bias ? score[i] + bias[i] : score[i];
}

/* The largest choice from `from` to `to` that is not out; -1 when all are. */
static int best_of(const float *score, const float *bias, int from, int to, const bitset *out) {
    int best = -1;
    for (int i = from; i < to; i++) {
        if (is_set(out, i))
            continue;
        if (best < 0 || choice_of(score, bias, i) > choice_of(score, bias, best) ||
            (isnan(choice_of(score, bias, best)) && !isnan(choice_of(score, bias, i))))
            best = i;
    }
    return best;
}

static float group_value(const ag_moe_config *c, const float *score, const float *bias, int group) {
    int size = c->n_experts / c->n_groups, from = group * size;
    bitset out = {0};
    int first = best_of(score, bias, from, from + size, &out);
    float value = choice_of(score, bias, first);
    if (c->gating == AG_GATE_SOFTMAX || size == 1)
        return value;
    set(&out, first);
    return value + choice_of(score, bias, best_of(score, bias, from, from + size, &out));
}

/* All groups but the best n_groups_used go out. */
static void drop_groups(const ag_moe_config *c, const float *score, const float *bias,
                        bitset *out) {
    float value[AG_MAX_EXPERTS];
    bitset kept = {0};
    for (int g = 0; g < c->n_groups; g++)
        value[g] = group_value(c, score, bias, g);
    for (int k = 0; k < c->n_groups_used; k++)
        set(&kept, best_of(value, NULL, 0, c->n_groups, &kept));
    int size = c->n_experts / c->n_groups;
    for (int i = 0; i < c->n_experts; i++)
        if (!is_set(&kept, i / size))
            set(out, i);
}

/* The chosen ones, few, in ascending order. */
static void sort(int *expert, int n) {
    for (int i = 1; i < n; i++) {
        int e = expert[i], at = i;
        for (; at > 0 && expert[at - 1] > e; at--)
            expert[at] = expert[at - 1];
        expert[at] = e;
    }
}

void ag_route(const ag_moe_config *c, float *logits, const float *bias, int *expert,
              float *weight) {
    bitset out = {0};
    float sum = 0;
    (c->gating == AG_GATE_SIGMOID ? sigmoid : softmax)(logits, c->n_experts);
    if (c->n_groups_used < c->n_groups)
        drop_groups(c, logits, bias, &out);
    for (int k = 0; k < c->n_used; k++) {
        expert[k] = best_of(logits, bias, 0, c->n_experts, &out);
        set(&out, expert[k]);
        sum += logits[expert[k]];
    }
    sort(expert, c->n_used);
    float by = c->normalise ? c->scale / (sum + 1e-20f) : c->scale;
    for (int k = 0; k < c->n_used; k++)
        weight[k] = logits[expert[k]] * by;
}
