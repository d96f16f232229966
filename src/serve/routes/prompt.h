/* From messages or prompts to token ids that fit the context. Private to routes/. */
#ifndef AG_ROUTES_PROMPT_H
#define AG_ROUTES_PROMPT_H

#include "routes/gen.h"

#define AG_MAX_CHAT_BYTES ((size_t)64 << 20) /* messages and tools as JSON for the template */

typedef struct ag_prompt {
    int32_t *ids; /* owned, by the engine's allocator */
    size_t n;
    ag_span text; /* what it was made from; of token ids only where echo wants it */
} ag_prompt;

typedef struct ag_prompts {
    ag_prompt *v; /* the arena's */
    size_t n;
    size_t n_cut; /* tokens that were left out of all of them (truncate_prompt) */
} ag_prompts;

/* What no model could make prompts of: the wrong kinds of values, or too few or too many of them.
 * Names of roles and parts that templates do not know are replaced. False: *p. */
bool ag_prompts_check(const ag_gen *g, ag_problem *p);
/* About how many tokens the prompts of a request have, for each of its n answers; an estimate from
 * their bytes, usually too low, quick. What templates and tools add counts nothing. */
size_t ag_prompts_about(const ag_gen *g, const ag_engine *engine);
/* Make the prompts of a request that ag_prompts_check() found fine. May take a while for long ones.
 * False: *p says what is wrong; then and afterwards *out is given back with ag_prompts_deinit(). */
bool ag_prompts_make(const ag_gen *g, ag_engine *engine, ag_arena *arena, ag_prompts *out,
                     ag_problem *p);
void ag_prompts_deinit(ag_prompts *prompts);

/* The JSON that ag_engine_render() takes, of a chat request that ag_prompts_check() found fine. */
bool ag_prompt_chat_json(const ag_gen *g, ag_buf *out, ag_problem *p);

#endif
