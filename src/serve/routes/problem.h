/* What is wrong with a request, as the API tells it: an HTTP status and OpenAI's four fields. */
#ifndef AG_ROUTES_PROBLEM_H
#define AG_ROUTES_PROBLEM_H

#include "base/error.h"
#include "base/span.h"

#define AG_PARAM_TEXT 96

typedef struct ag_problem {
    int status;                /* 0: nothing is wrong */
    const char *type, *code;   /* constant words */
    char param[AG_PARAM_TEXT]; /* the field that is wrong; "": none in particular */
    char message[512];
    double retry_s; /* when to come back; 0: trying again as it is makes no sense */
} ag_problem;

/* Fill *p with a mistake of the client's: 400, invalid_request_error, "invalid_argument". Returns
 * false, so that `return ag_problem_bad(...)` reads well. */
bool ag_problem_bad(ag_problem *p, const char *param, const char *fmt, ...) AG_PRINTF(3, 4);
/* Fill *p with another one; what is 503 may be tried again in a second, unless retry_s is then set.
 * Returns false. */
bool ag_problem_set(ag_problem *p, int status, const char *type, const char *code,
                    const char *param, const char *fmt, ...) AG_PRINTF(6, 7);
/* Fill *p: there is no memory now for `what`. Returns false. */
bool ag_problem_memory(ag_problem *p, const char *what);
/* Fill *p from a failure of the engine or the runtime, by AG_ERR_MAP; returns false. `param`: the
 * field that it is about; NULL: what the message itself names, if it does. What a model cannot do
 * is the client's mistake (400), since trying again would not help. */
bool ag_problem_of(ag_problem *p, const ag_err *err, const char *param);
/* {"error":{"message":...,"type":...,"param":...,"code":...}} */
void ag_problem_json(const ag_problem *p, ag_buf *out);

#endif
