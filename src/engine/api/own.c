/* How a model's makers would have tokens chosen: general.sampling.* of its file. */
#include <math.h>
#include <stddef.h>

#include "api/engine.h"

/* What a file may say. Bit i of ag_engine.has_own is that of row i. */
static const struct {
    const char *key;
    size_t at; /* of the field, a float or an int32_t */
    bool whole;
} rows[] = {
#define ROW(key, field, whole)                                                                     \
    { "general.sampling." key, offsetof(ag_sampling, field), whole }
    ROW("temp", temperature, false),
    ROW("top_k", top_k, true),
    ROW("top_p", top_p, false),
    ROW("min_p", min_p, false),
    ROW("penalty_repeat", repetition_penalty, false),
    ROW("penalty_last_n", penalty_last_n, true),
    ROW("xtc_probability", xtc_probability, false),
    ROW("xtc_threshold", xtc_threshold, false),
    ROW("mirostat", mirostat, true),
    ROW("mirostat_tau", mirostat_tau, false),
    ROW("mirostat_eta", mirostat_eta, false),
#undef ROW
};

#define N_ROWS (sizeof rows / sizeof *rows)

static ag_code set(ag_sampling *s, size_t row, float x, ag_err *err) {
    char *at = (char *)s + rows[row].at;
    if (!rows[row].whole)
        *(float *)(void *)at = x;
    else if (x == rintf(x) && fabsf(x) < 0x1p31f)
        *(int32_t *)(void *)at = (int32_t)x;
    else
        return ag_fail(err, AG_E_ARG, "it is %g, expected a whole number", (double)x);
    if (s->top_k < 0) /* as some say "off" */
        s->top_k = 0;
    return ag_sampling_check(s, 1, err);
}

void ag_engine_take_sampling(ag_engine *e, const ag_source *file) {
    for (size_t i = 0; i < N_ROWS; i++) {
        ag_sampling one = ag_sampling_default();
        ag_err err = {0};
        float x;
        ag_code code = ag_source_get_f32(file, rows[i].key, &x, &err);
        if (!code)
            code = set(&one, i, x, &err);
        if (!code) {
            (void)set(&e->own, i, x, NULL);
            e->has_own |= 1u << i;
        } else if (code != AG_E_NOT_FOUND) {
            ag_log(&e->log, AG_LOG_WARN, "engine", "%s is left out: %s", rows[i].key, err.msg);
        }
    }
}

void ag_engine_get_sampling(const ag_engine *e, ag_sampling *sampling) {
    for (size_t i = 0; i < N_ROWS; i++)
        if (e->has_own >> i & 1) /* both kinds of fields have four bytes */
            memcpy((char *)sampling + rows[i].at, (const char *)&e->own + rows[i].at, 4);
}
