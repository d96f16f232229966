/* Private to api/: the object behind ag_engine. Constant after opening, but for what the scheduler
 * owns. */
#ifndef AG_API_ENGINE_H
#define AG_API_ENGINE_H

#include "autoglm/engine.h"
#include "base/sha256.h"
#include "sched/sched.h"
#include "text/chat.h"

struct ag_engine {
    ag_engine_opts opts; /* the log callback's; pointers in it are not used after opening */
    ag_logger log;
    ag_executor *executor; /* a hold on it */
    ag_core core;
    ag_tokenizer *tokenizer;
    ag_chat *chat;  /* NULL when the model has no template that works */
    ag_err no_chat; /* why, when chat is NULL */
    ag_sched *sched;
    char *name;                  /* owned */
    char digest[AG_SHA256_TEXT]; /* "": not known */
    ag_sampling own;             /* what the model's file says of it; the rest is neutral */
    uint32_t has_own;            /* which fields it says: own.c */
};

/* Find the model's chat template, or use `override` (Jinja source; NULL: none). A model without a
 * usable one opens all the same. AG_E_TEMPLATE for the override, AG_E_NOMEM. */
ag_code ag_engine_open_chat(ag_engine *e, const ag_source *file, const char *override,
                            ag_err *err) AG_MUST_USE;

/* Take what the file says about how tokens are to be chosen. What is wrong there is logged and left
 * out: it is advice, without which the model works as well. */
void ag_engine_take_sampling(ag_engine *e, const ag_source *file);

/* UTF-8 of a bearable size? `what` names it in messages. AG_E_LIMIT, AG_E_UTF8. */
ag_code ag_engine_check_text(const char *what, const char *text, size_t n, ag_err *err) AG_MUST_USE;

/* A handle is the job itself, under a name that hides it. */
static inline ag_job *ag_job_of(ag_request *r) { return (ag_job *)(void *)r; }
static inline ag_request *ag_request_of(ag_job *j) { return (ag_request *)(void *)j; }

#endif
