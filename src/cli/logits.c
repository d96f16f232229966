/* autoglm logits: the raw numbers, for comparing with other implementations. */
#include <string.h>

#include "base/file.h"
#include "cli/engine.h"
#include "cli/input.h"
#include "cli/out.h"

static ag_code tokenize_text(const ag_cli_args *a, ag_engine *engine, ag_ids *out, ag_err *err) {
    int32_t *ids = NULL;
    size_t n = 0;
    ag_code code = ag_cli_check_utf8(ag_str(a->text), "--text", err);
    if (!code)
        code = ag_engine_tokenize(engine, a->text, strlen(a->text), true, false, &ids, &n, err);
    for (size_t i = 0; i < n && !code; i++)
        code = ag_ids_add(out, ids[i], err);
    ag_ids_free(ids);
    return code;
}

static ag_code evaluate(const ag_cli_args *a, ag_engine *engine, const ag_ids *ids, ag_err *err) {
    ag_engine_info info;
    ag_engine_get_info(engine, &info);
    if (ids->n == 0)
        return ag_fail(err, AG_E_ARG, "there are no tokens to evaluate");
    if (ids->n > info.context_length)
        return ag_fail(err, AG_E_CTX_FULL, "%zu tokens do not fit into a context of %u", ids->n,
                       info.context_length);
    float *out = ag_calloc(AG_ROOM_CLI, ids->n * info.n_vocab, sizeof *out);
    if (!out)
        return ag_fail(err, AG_E_NOMEM, "out of memory for the logits of %zu tokens", ids->n);
    ag_code code = ag_engine_logits(engine, ids->v, ids->n, out, err);
    if (!code)
        code = ag_file_write(a->out, ag_span_of(out, ids->n * info.n_vocab * sizeof *out), err);
    ag_free(out);
    if (!code && a->json)
        ag_cli_out_json(json_pack("{s:I, s:I, s:o, s:s}", "tokens", (json_int_t)ids->n,
                                  "vocabulary", (json_int_t)info.n_vocab, "out",
                                  ag_cli_json_text(ag_str(a->out)), "dtype", "f32le"));
    return code;
}

int ag_cli_logits(const ag_cli_args *a) {
    ag_engine *engine = NULL;
    ag_ids ids = {0};
    ag_err err = {0};
    if ((a->ids != NULL) == (a->text != NULL))
        return ag_cli_usage("logits: give --ids or --text, one of the two");
    if (!a->out)
        return ag_cli_usage("logits: where to? --out FILE is missing");
    int status = AG_CLI_DONE;
    if (a->ids && ag_cli_parse_ids(a->ids, &ids, &err))
        status = ag_cli_usage("--ids: %s", err.msg);
    if (!status)
        status = ag_cli_engine_open(a, &(ag_cli_need){.sequences = 1}, &engine, NULL);
    if (status)
        goto out;
    ag_code code = a->text ? tokenize_text(a, engine, &ids, &err) : AG_OK;
    if (!code)
        code = evaluate(a, engine, &ids, &err);
    if (code)
        status = ag_cli_fail(&err);
out:
    ag_ids_deinit(&ids);
    ag_engine_close(&engine);
    return status;
}
