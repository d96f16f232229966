/* What the engine's tests share: models, goldens, opening, and answers collected from callbacks. */
#ifndef AG_TESTS_ENGINE_SUPPORT_H
#define AG_TESTS_ENGINE_SUPPORT_H

#include <stdatomic.h>
#include <stdbool.h>

#include <autoglm/engine.h>
#include <jansson.h>

#include "unit/test.h"

/* ---- models and goldens (tests/golden/models) ------------------------------------------------ */

extern const char *const model_names[]; /* NULL at the end */
extern const char *const type_names[];  /* NULL at the end */

/* Path of a generated file: "tiny-glm4", "q4_k" or "micro", NULL. In one of four static buffers
 * that are used in turn. */
const char *model_path(const char *name, const char *type);

/* Is the model made in this type? Most are in all. */
bool has_type(const char *name, const char *type);
/* Do its layers have experts? */
bool has_experts(const char *name);

/* The directory that model_path() points into. */
const char *models_dir(void);
/* A whole file in memory (malloc); stops the test when it cannot be read. */
uint8_t *must_read(const char *path, size_t *n);

typedef struct golden_case {
    const char *text; /* the prompt, as the others owned by the golden */
    int32_t *ids;
    size_t n_ids;
    size_t n_rows;
    uint32_t *rows;      /* [n_rows] positions that have logits */
    const float *logits; /* [n_rows, n_vocab] */
    int32_t greedy[16];  /* what follows the prompt */
    float margin[16];    /* best minus second logit at each step */
} golden_case;

typedef struct golden {
    json_t *json;
    float *all;
    size_t n_vocab;
    golden_case prompt[3];
} golden;

/* The goldens of a model in a type; stops the test when they cannot be read. */
void golden_open(golden *g, const char *name, const char *type);
void golden_close(golden *g);

/* Texts and ids of a model in goldens/embeddings.json, owned by the result (json_decref); *want
 * points into *all (free), to [texts][3][n_embd] vectors. */
json_t *embeddings_open(const char *name, const char *type, float **all, float **want);

/* ---- engines --------------------------------------------------------------------------------- */

/* Small defaults for tests: context and KV for a few hundred tokens, one thread. */
ag_engine_opts test_opts(const char *model);
/* Open or stop the test with the engine's message. */
ag_engine *must_open(const ag_engine_opts *opts);
/* Logits of all positions, [n, n_vocab], freed with free(); stops the test on failure. */
float *must_logits(ag_engine *engine, const int32_t *ids, size_t n);
uint32_t vocab_of(ag_engine *engine);

/* ---- answers --------------------------------------------------------------------------------- */

/* Everything that a request's callbacks said. One per request; zeroed before use. */
typedef struct answer {
    int32_t id[512];
    float logprob[512];
    size_t n;
    char text[16384]; /* text of all events and the tail */
    size_t n_text;
    ag_finish finish;
    ag_result result;    /* its tail is not valid any more */
    atomic_int n_tokens; /* how many on_token so far; readable from other threads */
    atomic_int n_done;   /* how many on_done */
    bool out_of_order;   /* an index that was not the next, or a token after on_done */
    size_t cancel_after; /* on_token returns false at this many tokens; 0: never */
    ag_token_logprob top[512][20];
    size_t n_top[512];
} answer;

/* Greedy, no end at stop tokens, `max_tokens` long, from ids, answering into `a`. */
ag_request_opts ask_ids(const int32_t *ids, size_t n, uint32_t max_tokens, answer *a);
ag_request_opts ask_text(const char *text, uint32_t max_tokens, answer *a);
/* Submit, wait, release; stops the test when submit fails. */
void must_answer(ag_engine *engine, const ag_request_opts *opts);
ag_request *must_submit(ag_engine *engine, const ag_request_opts *opts);
/* Wait and release. */
void must_finish(ag_request **request);
/* The same tokens, log-probabilities (bits), text and ending? */
bool same_answer(const answer *a, const answer *b);

/* May this CPU run the tier named so? Any unknown name: no. */
bool cpu_runs(const char *tier);

#endif
