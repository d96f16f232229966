/* A text in windows of equal length through a model, as evaluating and measuring need it. The core
 * is used directly, while the engine's scheduler has nothing to do. */
#ifndef AG_CLI_WINDOWS_H
#define AG_CLI_WINDOWS_H

#include "api/engine.h"
#include "cli/args.h"

#define AG_CLI_USUAL_WINDOW 512 /* tokens, when --ctx is not given */

typedef struct ag_cli_windows {
    ag_ids ids; /* of the whole text, begun as the tokenizer's model wants it */
    uint32_t size;
    size_t n;
    int32_t *window; /* owned [size]: the current one */
} ag_cli_windows;

/* A model that windows go through. */
typedef struct ag_cli_side {
    ag_engine *engine; /* NULL: not there */
    ag_kv_seq kv;
} ag_cli_side;

/* Open the model of `a` for windows of `size` tokens, of which logits are wanted `rows` at a time.
 * AG_CLI_DONE, or the exit status after telling why not. */
int ag_cli_side_open(const ag_cli_args *a, uint32_t size, uint32_t rows, ag_cli_side *s);
void ag_cli_side_close(ag_cli_side *s);

/* Cut a text into windows of w->size, at most `most` (0: all). AG_E_ARG when there is less text
 * than one. */
ag_code ag_cli_windows_cut(ag_cli_windows *w, const ag_engine *engine, ag_span text, uint32_t most,
                           ag_err *err) AG_MUST_USE;
void ag_cli_windows_deinit(ag_cli_windows *w);
/* Make window i the current one; it begins with BOS where the model wants it. */
void ag_cli_windows_take(ag_cli_windows *w, const ag_engine *engine, size_t i);

/* Forget what the model has seen. AG_E_NO_BLOCKS. */
ag_code ag_cli_side_begin(ag_cli_side *s, uint32_t size, ag_err *err) AG_MUST_USE;
/* Compute n tokens that follow those before; their logits to out[n, n_vocab] unless it is NULL. */
void ag_cli_side_step(ag_cli_side *s, const int32_t *ids, uint32_t n, float *out);

#endif
