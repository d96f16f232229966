/* Private to core/: one byte budget over weights, KV and scratch, decided before anything large is
 * allocated. */
#ifndef AG_CORE_BUDGET_H
#define AG_CORE_BUDGET_H

#include "core/core.h"

typedef struct ag_budget {
    ag_kv_shape kv_shape;
    int kv_blocks;
    uint64_t kv_bytes;
    uint64_t scratch_bytes;
    int max_context;
    int batch_tokens; /* cut to the context */
} ag_budget;

/* What there is to decide about, before it is known how much memory there is. */
void ag_budget_needs(ag_core_needs *n, const ag_model *m, const ag_core_opts *o, int n_threads);
/* Decide the context and the KV size. An explicit wish that does not fit is AG_E_BUDGET; a default
 * is cut to what fits. */
ag_code ag_budget_plan(ag_budget *b, const ag_model *m, const ag_core_opts *o,
                       ag_err *err) AG_MUST_USE;

#endif
