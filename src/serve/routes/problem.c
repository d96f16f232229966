#include "routes/problem.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/json_out.h"

typedef struct row {
    const char *name, *type;
    int status, retryable;
} row;

static const row rows[] = {
#define ROW(code, name, status, type, retry) [code] = {name, type, status, retry},
    AG_ERR_MAP(ROW)
#undef ROW
};

static void fill(ag_problem *p, int status, const char *type, const char *code, const char *param) {
    *p = (ag_problem){
        .status = status, .type = type, .code = code, .retry_s = status == 503 ? 1 : 0};
    snprintf(p->param, sizeof p->param, "%s", param ? param : "");
}

bool ag_problem_bad(ag_problem *p, const char *param, const char *fmt, ...) {
    fill(p, 400, rows[AG_E_ARG].type, rows[AG_E_ARG].name, param);
    va_list args;
    va_start(args, fmt);
    vsnprintf(p->message, sizeof p->message, fmt, args);
    va_end(args);
    return false;
}

bool ag_problem_set(ag_problem *p, int status, const char *type, const char *code,
                    const char *param, const char *fmt, ...) {
    fill(p, status, type, code, param);
    va_list args;
    va_start(args, fmt);
    vsnprintf(p->message, sizeof p->message, fmt, args);
    va_end(args);
    return false;
}

/* Messages of the engine begin with the field's path: "messages[2].content must be ...". */
static void param_of_message(const char *message, char param[AG_PARAM_TEXT]) {
    static const char *const roots[] = {"messages",    "prompt",    "tools", "top_logprobs",
                                        "temperature", "top_p",     "top_k", "min_p",
                                        "stop",        "logit_bias"};
    size_t n = strcspn(message, " :");
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
        size_t root = strlen(roots[i]);
        if (n >= root && n < AG_PARAM_TEXT && strncmp(message, roots[i], root) == 0 &&
            (n == root || message[root] == '[')) {
            memcpy(param, message, n);
            param[n] = 0;
            return;
        }
    }
}

bool ag_problem_of(ag_problem *p, const ag_err *err, const char *param) {
    row r = rows[err->code];
    if (err->code == AG_E_UNSUPPORTED)
        r.status = 400, r.type = rows[AG_E_ARG].type;
    fill(p, r.status, r.type, r.name, param);
    p->retry_s = r.retryable ? 1 : 0;
    snprintf(p->message, sizeof p->message, "%s", err->msg);
    if (!param)
        param_of_message(p->message, p->param);
    if (!p->param[0] && err->code == AG_E_TEMPLATE) /* the template's own words */
        snprintf(p->param, sizeof p->param, "messages");
    return false;
}

bool ag_problem_memory(ag_problem *p, const char *what) {
    ag_err err;
    ag_fail(&err, AG_E_NOMEM, "out of memory for %s", what);
    return ag_problem_of(p, &err, NULL);
}

void ag_problem_json(const ag_problem *p, ag_buf *out) {
    ag_buf_adds(out, "{\"error\":{\"message\":");
    ag_json_str(out, p->message);
    ag_json_key(out, "type");
    ag_json_str(out, p->type);
    ag_json_key(out, "param");
    ag_json_str(out, p->param[0] ? p->param : NULL);
    ag_json_key(out, "code");
    ag_json_str(out, p->code);
    ag_json_close(out, '}');
    ag_json_close(out, '}');
}
