/* Opening the engine from the command line's options, with progress, and the sampling options as
 * the library wants them. */
#ifndef AG_CLI_ENGINE_H
#define AG_CLI_ENGINE_H

#include "autoglm/engine.h"
#include "base/span.h"
#include "cli/args.h"

/* What a command needs beyond the options; zero: the engine's own choice. */
typedef struct ag_cli_need {
    uint32_t ctx;       /* used when --ctx is not given */
    uint32_t sequences; /* that run at once */
    uint64_t kv_tokens;
    bool measured; /* whole chunks of prompts beside streams, and no guesses: what work costs */
} ag_cli_need;

/* Open the engine. AG_CLI_DONE, or the exit status after telling what is wrong. On success *out
 * is closed with ag_engine_close() and *load_us (may be NULL) says how long it took. */
int ag_cli_engine_open(const ag_cli_args *a, const ag_cli_need *need, ag_engine **out,
                       uint64_t *load_us);

/* The folder of packed weights: --image-cache, else autoglm/images below $XDG_CACHE_HOME or
 * ~/.cache. NULL when none is known. Valid until the next call. */
const char *ag_cli_image_cache(const ag_cli_args *a);

/* The sampling options; `bias` must hold AG_CLI_MAX_LIST entries and live as long as *s.
 * AG_CLI_DONE, or AG_CLI_USAGE when a --logit-bias cannot be read. */
int ag_cli_sampling(const ag_cli_args *a, ag_logit_bias *bias, ag_sampling *s);
/* Then, once the model is there: what no option says is as its file advises. */
void ag_cli_sampling_of_model(const ag_cli_args *a, const ag_engine *engine, ag_sampling *s);

#endif
