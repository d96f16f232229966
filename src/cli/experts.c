#include "cli/experts.h"

ag_code ag_cli_experts_begin(ag_cli_experts *x, const ag_engine *e, ag_err *err) {
    const ag_model_config *c = &e->core.model.config;
    *x = (ag_cli_experts){.n_layers = c->n_layers, .n_experts = c->moe.n_experts};
    size_t n = (size_t)x->n_layers * (size_t)x->n_experts;
    x->rows = ag_calloc(AG_ROOM_CLI, n, sizeof *x->rows);
    if (!x->rows)
        return ag_fail(err, AG_E_NOMEM, "out of memory for counting experts");
    for (size_t i = 0; i < n; i++)
        x->rows[i] = ag_core_expert_rows(&e->core, (int)(i / (size_t)x->n_experts),
                                         (int)(i % (size_t)x->n_experts));
    return AG_OK;
}

ag_cli_expert_use ag_cli_experts_end(const ag_cli_experts *x, const ag_engine *e) {
    ag_cli_expert_use use = {.expert = -1};
    for (int layer = 0; layer < x->n_layers; layer++) {
        const uint64_t *before = x->rows + (size_t)layer * (size_t)x->n_experts;
        uint64_t sum = 0, most = 0;
        int idle = 0, busiest = -1;
        for (int i = 0; i < x->n_experts; i++) {
            uint64_t rows = ag_core_expert_rows(&e->core, layer, i) - before[i];
            sum += rows;
            idle += rows == 0;
            if (rows > most) {
                most = rows;
                busiest = i;
            }
        }
        if (sum == 0) /* a dense layer */
            continue;
        double share = (double)most * x->n_experts / (double)sum;
        use.n_all += x->n_experts;
        use.n_idle += idle;
        if (share > use.busiest) {
            use.busiest = share;
            use.layer = layer;
            use.expert = busiest;
        }
    }
    return use;
}

void ag_cli_experts_deinit(ag_cli_experts *x) {
    ag_free(x->rows);
    *x = (ag_cli_experts){0};
}
