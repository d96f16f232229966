#include "sched/line.h"

/* What a task without a deadline counts as having, in the order only. */
#define USUAL_PATIENCE_US 60000000u

void ag_line_push(ag_line *l, ag_task *t) {
    t->next = l->first;
    l->first = t;
    l->n++;
    l->tokens += (uint64_t)t->n_prompt;
}

void ag_line_remove(ag_line *l, ag_task *t) {
    ag_task **at = &l->first;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    t->next = NULL;
    l->n--;
    l->tokens -= (uint64_t)t->n_prompt;
}

static uint64_t due(const ag_task *t) {
    uint64_t at = ag_task_due(t), usual = t->submit_at + USUAL_PATIENCE_US;
    return at < usual ? at : usual;
}

/* Both of one class. */
static bool goes_before(const ag_task *x, const ag_task *y, const ag_accounts *a) {
    if (!x->start_at != !y->start_at)
        return x->start_at != 0;
    if (x->start_at)
        return x->order < y->order;
    double used_x = a->list[x->account].used, used_y = a->list[y->account].used;
    if (x->account != y->account && (used_x < used_y || used_x > used_y))
        return used_x < used_y;
    if (due(x) != due(y))
        return due(x) < due(y);
    return x->order < y->order;
}

ag_task *ag_line_next(const ag_line *l, const ag_accounts *a, bool *its_turn) {
    ag_task *best[AG_N_CLASSES] = {0};
    for (ag_task *t = l->first; t; t = t->next) {
        ag_task **b = &best[ag_task_class(t)];
        if (!t->resting && (!*b || goes_before(t, *b, a)))
            *b = t;
    }
    *its_turn = true;
    for (int c = 0; c < AG_N_CLASSES; c++)
        if (best[c] && l->passed[c] >= AG_PASSES)
            return best[c];
    *its_turn = false;
    for (int c = AG_N_CLASSES - 1; c >= 0; c--)
        if (best[c])
            return best[c];
    return NULL;
}

void ag_line_start(ag_line *l, ag_task *t) {
    int class = ag_task_class(t);
    ag_line_remove(l, t);
    l->passed[class] = 0;
    bool waits[AG_N_CLASSES] = {false};
    for (const ag_task *w = l->first; w; w = w->next)
        waits[ag_task_class(w)] |= !w->resting;
    for (int c = 0; c < class; c++)
        l->passed[c] = waits[c] ? l->passed[c] + 1 : 0;
}
