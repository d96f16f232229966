#include "cli/windows.h"

#include <string.h>

#include "cli/engine.h"
#include "cli/out.h"

int ag_cli_side_open(const ag_cli_args *a, uint32_t size, uint32_t rows, ag_cli_side *s) {
    ag_cli_need need = {.ctx = size, .sequences = rows, .kv_tokens = size};
    ag_err err = {0};
    int status = ag_cli_engine_open(a, &need, &s->engine, NULL);
    if (status)
        return status;
    ag_code code = ag_job_check_generates(&s->engine->core, &err);
    if (!code)
        code = ag_kv_seq_init(&s->kv, &s->engine->core.kv, (int)size, &err);
    return code ? ag_cli_fail(&err) : AG_CLI_DONE;
}

void ag_cli_side_close(ag_cli_side *s) {
    if (s->kv.kv)
        ag_kv_seq_deinit(&s->kv);
    ag_engine_close(&s->engine);
}

ag_code ag_cli_windows_cut(ag_cli_windows *w, const ag_engine *engine, ag_span text, uint32_t most,
                           ag_err *err) {
    ag_code code = ag_tokenizer_encode(engine->tokenizer, text, AG_ENCODE_BOS, &w->ids, err);
    if (code)
        return code;
    w->n = w->ids.n / w->size;
    if (w->n == 0)
        return ag_fail(err, AG_E_ARG,
                       "the text has %zu tokens, but one window needs %u: give more text or a "
                       "smaller --ctx",
                       w->ids.n, w->size);
    if (most && w->n > most)
        w->n = most;
    w->window = ag_calloc(AG_ROOM_CLI, w->size, sizeof *w->window);
    return w->window ? AG_OK : ag_fail(err, AG_E_NOMEM, "out of memory");
}

void ag_cli_windows_deinit(ag_cli_windows *w) {
    ag_ids_deinit(&w->ids);
    ag_free(w->window);
    *w = (ag_cli_windows){0};
}

void ag_cli_windows_take(ag_cli_windows *w, const ag_engine *engine, size_t i) {
    memcpy(w->window, w->ids.v + i * w->size, w->size * sizeof *w->window);
    if (ag_tokenizer_adds_bos(engine->tokenizer))
        w->window[0] = ag_tokenizer_bos(engine->tokenizer);
}

ag_code ag_cli_side_begin(ag_cli_side *s, uint32_t size, ag_err *err) {
    ag_kv_seq_clear(&s->kv);
    ag_code code = ag_kv_seq_reserve(&s->kv, (int)size);
    return code ? ag_fail(err, code, "a window of %u tokens does not fit in the KV cache", size)
                : AG_OK;
}

void ag_cli_side_step(ag_cli_side *s, const int32_t *ids, uint32_t n, float *out) {
    ag_core *core = &s->engine->core;
    uint32_t most = (uint32_t)core->batch_tokens;
    for (uint32_t done = 0; done < n;) {
        uint32_t now = n - done < most ? n - done : most;
        float *to = out ? out + (size_t)done * (size_t)core->model.config.n_vocab : NULL;
        ag_step_item item = {.kv = &s->kv, .ids = ids + done, .n = (int)now, .all_logits = to};
        ag_core_step(core, &item, 1);
        done += now;
    }
}
