/* How evenly a mixture of experts was used between two moments. */
#ifndef AG_CLI_EXPERTS_H
#define AG_CLI_EXPERTS_H

#include "api/engine.h"

typedef struct ag_cli_experts {
    int n_layers, n_experts; /* n_experts 0: no mixture */
    uint64_t *rows;          /* owned [n_layers, n_experts]: counts when it began */
} ag_cli_experts;

typedef struct ag_cli_expert_use {
    int n_all, n_idle; /* experts of layers that computed anything; those without a row */
    double busiest;    /* rows of the busiest, in times of an even share */
    int layer, expert; /* which that is; expert -1: nothing was computed */
} ag_cli_expert_use;

/* Note the counts; ag_cli_experts_deinit() afterwards, in every case. AG_E_NOMEM. */
ag_code ag_cli_experts_begin(ag_cli_experts *x, const ag_engine *e, ag_err *err) AG_MUST_USE;
/* What was used since. */
ag_cli_expert_use ag_cli_experts_end(const ag_cli_experts *x, const ag_engine *e);
void ag_cli_experts_deinit(ag_cli_experts *x);

#endif
