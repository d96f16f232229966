/* Private to api/: the object behind ag_engine. Constant after opening, but for what the scheduler
 * owns. */
#ifndef AG_API_ENGINE_H
#define AG_API_ENGINE_H

#include "autoglm/engine.h"
#include "sched/sched.h"

struct ag_engine {
    ag_engine_opts opts; /* the log callback's; pointers in it are not used after opening */
    ag_logger log;
    ag_core core;
    ag_tokenizer *tokenizer;
    ag_sched *sched;
    char *name; /* owned */
};

/* A handle is the job itself, under a name that hides it. */
static inline ag_job *ag_job_of(ag_request *r) { return (ag_job *)(void *)r; }
static inline ag_request *ag_request_of(ag_job *j) { return (ag_request *)(void *)j; }

#endif
