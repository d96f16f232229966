/* autoglm run: one prompt, one answer. */
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/engine.h"
#include "cli/input.h"
#include "cli/out.h"
#include "cli/stream.h"
#include "cli/structure.h"

typedef struct run {
    const ag_cli_args *a;
    ag_engine *engine;
    ag_engine_info info;
    uint64_t load_us;
    ag_buf prompt;
    ag_buf form; /* what opts.structure points to */
    ag_structure structure;
    ag_cli_answer answer;
    ag_logit_bias bias[AG_CLI_MAX_LIST];
} run;

/* A message from a file or a pipe ends with its text, not with the line end behind it. */
static void drop_line_end(ag_buf *b) {
    if (b->n > 0 && b->p[b->n - 1] == '\n')
        b->n--;
    if (b->n > 0 && b->p[b->n - 1] == '\r')
        b->n--;
}

/* Fill the prompt of *opts; *ids is set when the chat template made it. */
static ag_code make_prompt(run *r, ag_request_opts *opts, int32_t **ids, ag_err *err) {
    const ag_cli_args *a = r->a;
    bool plain = a->raw || (!r->info.has_chat_template && !a->chat_template);
    if (!plain)
        drop_line_end(&r->prompt);
    const char *text = ag_buf_cstr(&r->prompt);
    if (!text)
        return ag_fail(err, AG_E_NOMEM, "out of memory for the prompt");
    if (plain) {
        if (!a->raw && !a->quiet)
            ag_cli_note("the model has no chat template: continuing the prompt as plain text");
        opts->prompt = text;
        opts->prompt_len = r->prompt.n;
        opts->parse_special = a->special;
        return AG_OK;
    }
    if (strlen(text) != r->prompt.n)
        return ag_fail(err, AG_E_ARG, "the prompt holds a zero byte; only --raw can take it");
    ag_message messages[2];
    size_t n = 0;
    if (a->system)
        messages[n++] = (ag_message){"system", a->system};
    messages[n++] = (ag_message){"user", text};
    return ag_engine_chat_ids(r->engine, messages, n, ids, &opts->n_prompt_ids, err);
}

static json_t *json_answer(const run *r) {
    const ag_result *s = &r->answer.result;
    json_t *usage =
        json_pack("{s:I, s:I, s:I, s:I}", "prompt_tokens", (json_int_t)s->n_prompt, "cached_tokens",
                  (json_int_t)s->n_cached, "completion_tokens", (json_int_t)s->n_generated,
                  "total_tokens", (json_int_t)s->n_prompt + s->n_generated);
    json_t *timings = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "load_ms",
                                ag_cli_json_num((double)r->load_us / 1e3), "queue_ms",
                                ag_cli_json_num((double)s->queue_us / 1e3), "prefill_ms",
                                ag_cli_json_num((double)s->prefill_us / 1e3), "decode_ms",
                                ag_cli_json_num((double)s->decode_us / 1e3), "ttft_ms",
                                ag_cli_json_num((double)(s->queue_us + s->prefill_us) / 1e3),
                                "prefill_tok_s", ag_cli_json_num(ag_cli_prefill_speed(s)),
                                "decode_tok_s", ag_cli_json_num(ag_cli_decode_speed(s)));
    return json_pack("{s:o, s:s, s:o, s:o, s:o}", "text",
                     ag_cli_json_text(ag_buf_span(&r->answer.text)), "finish",
                     ag_cli_finish_name(s->finish), "model", ag_cli_json_text(ag_str(r->info.name)),
                     "usage", usage, "timings", timings);
}

static int show_end(const run *r) {
    const ag_cli_args *a = r->a;
    const ag_cli_answer *answer = &r->answer;
    if (answer->result.finish == AG_FINISH_ERROR) {
        if (!a->json && answer->text.n > 0)
            ag_cli_out("\n");
        ag_cli_out_flush();
        return ag_cli_fail(&answer->result.err);
    }
    if (a->json)
        ag_cli_out_json(json_answer(r));
    else if (answer->text.n == 0 || answer->text.p[answer->text.n - 1] != '\n')
        ag_cli_out("\n");
    ag_cli_out_flush();
    if (!a->json && !a->quiet && !ag_cli_out_lost())
        ag_cli_show_speed(&answer->result);
    return AG_CLI_DONE;
}

static int generate(run *r) {
    const ag_cli_args *a = r->a;
    int32_t *ids = NULL;
    ag_err err = {0};
    ag_request_opts opts = ag_request_default();
    int status = ag_cli_sampling(a, r->bias, &opts.sampling);
    if (status)
        return status;
    ag_cli_sampling_of_model(a, r->engine, &opts.sampling);
    opts.max_tokens = a->max_tokens;
    opts.ignore_eos = a->ignore_eos;
    opts.stop = a->stop.n ? a->stop.v : NULL;
    opts.n_stop = a->stop.n;
    opts.structure = r->structure;
    ag_code code = make_prompt(r, &opts, &ids, &err);
    if (!code) {
        opts.prompt_ids = ids;
        ag_cli_catch_interrupt();
        code = ag_cli_stream(r->engine, &opts, !a->json, &r->answer, &err);
    }
    ag_ids_free(ids);
    return code ? ag_cli_fail(&err) : show_end(r);
}

int ag_cli_run(const ag_cli_args *a) {
    run r = {.a = a};
    ag_err err = {0};
    ag_buf_init(&r.prompt, AG_ROOM_CLI, AG_MAX_TEXT_BYTES);
    ag_buf_init(&r.form, AG_ROOM_CLI, AG_MAX_GRAMMAR_BYTES);
    ag_buf_init(&r.answer.text, AG_ROOM_CLI, AG_MAX_RENDERED_BYTES);
    if (!ag_cli_model(a))
        return AG_CLI_USAGE;
    if (a->system && ag_cli_check_utf8(ag_str(a->system), "--system", &err))
        return ag_cli_fail(&err);
    ag_sampling sampling;
    int status = ag_cli_sampling(a, r.bias, &sampling);
    if (!status)
        status = ag_cli_structure(a, &r.form, &r.structure);
    if (!status)
        status = ag_cli_text(a, "prompt", &r.prompt);
    if (!status && r.prompt.n == 0 && !a->raw)
        status = ag_cli_usage("run: the prompt is empty");
    if (!status)
        status = ag_cli_engine_open(a, &(ag_cli_need){.sequences = 1}, &r.engine, &r.load_us);
    if (!status) {
        ag_engine_get_info(r.engine, &r.info);
        status = generate(&r);
    }
    ag_engine_close(&r.engine);
    ag_buf_deinit(&r.prompt);
    ag_buf_deinit(&r.form);
    ag_buf_deinit(&r.answer.text);
    return status;
}
