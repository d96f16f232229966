/* The measurements of autoglm bench: what is asked of the engine, and the clock around it. */
#ifndef AG_CLI_BENCH_RUN_H
#define AG_CLI_BENCH_RUN_H

#include "autoglm/engine.h"
#include "base/random.h"

typedef enum ag_cli_bench_kind { AG_CLI_PP, AG_CLI_TG, AG_CLI_BATCH } ag_cli_bench_kind;

typedef struct ag_cli_bench_test {
    ag_cli_bench_kind kind;
    uint32_t n;     /* PP: prompt tokens; TG: generated tokens; BATCH: sequences */
    uint32_t depth; /* TG: tokens in the context before */
    uint32_t npp, ntg;
} ag_cli_bench_test;

typedef struct ag_cli_bench_value {
    double tok_s;         /* NAN: not measured */
    double prefill_tok_s; /* BATCH only */
} ag_cli_bench_value;

/* Tokens of context that one sequence of this test needs, and sequences at once. */
uint32_t ag_cli_bench_ctx(const ag_cli_bench_test *t);
uint32_t ag_cli_bench_sequences(const ag_cli_bench_test *t);

/* Take the measurement once. Prompts are random ids from `rng`, never the same twice, so no prefix
 * cache can shorten them; only the context below a TG test may come from it. */
ag_code ag_cli_bench_take(ag_engine *engine, const ag_cli_bench_test *t, ag_rng *rng,
                          ag_cli_bench_value *out, ag_err *err) AG_MUST_USE;

#endif
