/* The routes as data: verb, path, who may use it, how long a body may be, and what answers. */
#ifndef AG_ROUTES_TABLE_H
#define AG_ROUTES_TABLE_H

#include <stdbool.h>
#include <stddef.h>

struct ag_exchange;

typedef enum ag_permission {
    AG_MAY_PROBE, /* everybody: says nothing about models or requests */
    AG_MAY_LOOK,  /* a key, when there are keys: lists and states */
    AG_MAY_USE,   /* a key: works with texts and with requests of its own */
    AG_MAY_INFER, /* a key: computes, and counts in the ledger of requests and tokens */
} ag_permission;

typedef struct ag_route {
    const char *verb;
    const char *path; /* "{}" stands for one or more characters */
    ag_permission permission;
    size_t body_bytes;
    void (*handle)(struct ag_exchange *x); /* on the io thread, with the whole body */
} ag_route;

/* Ended by a row without a verb. */
extern const ag_route ag_route_table[];

/* Does `path` fit the pattern? Then `arg` gets what {} stands for ("" without one). */
bool ag_route_match(const char *pattern, const char *path, char *arg, size_t arg_bytes);
/* The row for a verb (HEAD counts as GET) and path. NULL: none; then `allow` lists the verbs that
 * the path has, "" when there is no such path. */
const ag_route *ag_route_find(const char *verb, const char *path, char *arg, size_t arg_bytes,
                              char *allow, size_t allow_bytes);

void ag_route_chat(struct ag_exchange *x);
void ag_route_completions(struct ag_exchange *x);
void ag_route_embeddings(struct ag_exchange *x);
void ag_route_models(struct ag_exchange *x);
void ag_route_model(struct ag_exchange *x);
void ag_route_model_ready(struct ag_exchange *x);
void ag_route_model_infer_ready(struct ag_exchange *x);
void ag_route_tokenize(struct ag_exchange *x);
void ag_route_detokenize(struct ag_exchange *x);
void ag_route_apply_template(struct ag_exchange *x);
void ag_route_tokenizer_info(struct ag_exchange *x);
void ag_route_cancel(struct ag_exchange *x);
void ag_route_health(struct ag_exchange *x);
void ag_route_live(struct ag_exchange *x);
void ag_route_ready(struct ag_exchange *x);
void ag_route_startup(struct ag_exchange *x);
void ag_route_metrics(struct ag_exchange *x);
void ag_route_version(struct ag_exchange *x);

#endif
