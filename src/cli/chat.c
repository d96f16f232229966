/* autoglm chat: a conversation on a terminal or over pipes. */
#include "cli/chat.h"

#include <unistd.h>

#include "base/limits.h"
#include "cli/engine.h"
#include "cli/input.h"
#include "cli/out.h"

/* The ids of the whole conversation, short enough to leave room for an answer; older exchanges are
 * dropped, and that is told. */
static ag_code fitting_ids(ag_cli_chatter *c, int32_t **ids, size_t *n, ag_err *err) {
    size_t n_dropped = 0;
    for (;;) {
        size_t n_messages = 0;
        const ag_message *all = ag_cli_convo_all(&c->convo, &n_messages);
        ag_code code = ag_engine_chat_ids(c->engine, all, n_messages, ids, n, err);
        bool fits = !code && *n < c->info.context_length;
        if ((code && code != AG_E_CTX_FULL) || fits) {
            if (fits && n_dropped > 0)
                ag_cli_note("forgot the oldest %zu messages: the context of %u tokens is full",
                            n_dropped, c->info.context_length);
            return code;
        }
        ag_ids_free(*ids);
        *ids = NULL;
        if (!ag_cli_convo_drop_oldest(&c->convo))
            return ag_fail(err, AG_E_CTX_FULL,
                           "the message has %zu tokens, the context holds %u with the answer", *n,
                           c->info.context_length);
        n_dropped += 2;
    }
}

static ag_code generate(ag_cli_chatter *c, ag_err *err) {
    int32_t *ids = NULL;
    size_t n = 0;
    ag_request_opts opts = ag_request_default();
    ag_code code = fitting_ids(c, &ids, &n, err);
    if (code)
        return code;
    opts.prompt_ids = ids;
    opts.n_prompt_ids = n;
    opts.max_tokens = c->a->max_tokens;
    opts.ignore_eos = c->a->ignore_eos;
    opts.stop = c->a->stop.n ? c->a->stop.v : NULL;
    opts.n_stop = c->a->stop.n;
    if (ag_cli_sampling(c->a, c->bias, &opts.sampling))
        code = ag_fail(err, AG_E_ARG, "--logit-bias cannot be read");
    ag_cli_sampling_of_model(c->a, c->engine, &opts.sampling);
    c->answer.text.n = 0;
    if (!code)
        code = ag_cli_stream(c->engine, &opts, true, &c->answer, err);
    ag_ids_free(ids);
    return code;
}

static void show_end(const ag_cli_chatter *c) {
    const ag_cli_answer *answer = &c->answer;
    bool open = answer->text.n == 0 || answer->text.p[answer->text.n - 1] != '\n';
    ag_cli_out(open ? "\n" : "");
    ag_cli_out_flush();
    if (answer->result.finish == AG_FINISH_LENGTH && !c->a->max_tokens)
        ag_cli_note("the answer ends here: the context of %u tokens is full",
                    c->info.context_length);
    if (!c->a->quiet && !ag_cli_out_lost())
        ag_cli_show_speed(&answer->result);
}

void ag_cli_chat_answer(ag_cli_chatter *c) {
    ag_err err = {0};
    ag_code code = generate(c, &err);
    if (!code) {
        show_end(c);
        if (c->answer.result.finish == AG_FINISH_ERROR) {
            err = c->answer.result.err;
            code = err.code;
        }
    }
    if (!code) {
        c->n_answers++;
        c->n_prompt += c->answer.result.n_prompt;
        c->n_generated += c->answer.result.n_generated;
        if (c->answer.text.n > 0)
            code = ag_cli_convo_add(&c->convo, "assistant", ag_buf_span(&c->answer.text), &err);
        else
            ag_cli_convo_pop(&c->convo); /* a question without an answer would be asked again */
    }
    if (code) {
        ag_cli_convo_pop(&c->convo);
        c->failed = true;
        ag_cli_fail(&err);
    }
}

static void say(ag_cli_chatter *c, ag_span text) {
    ag_err err = {0};
    ag_code code = ag_cli_check_utf8(text, "message", &err);
    if (!code) {
        ag_buf_add(&c->attached, text.p, text.n);
        code = ag_buf_check(&c->attached, "the message", &err);
    }
    if (!code)
        code = ag_cli_convo_add(&c->convo, "user", ag_buf_span(&c->attached), &err);
    c->attached.n = 0;
    c->attached.failed = c->attached.over = false;
    if (code) {
        c->failed = true;
        ag_cli_fail(&err);
        return;
    }
    ag_cli_chat_answer(c);
}

/* Ctrl-C where no answer runs. The second in a row leaves; stopping an answer was the first. */
static bool second_interrupt(const ag_cli_chatter *c, bool had_text, bool *armed) {
    bool leave = !c->lines.on_terminal || (*armed && !had_text);
    if (!leave && !had_text)
        ag_cli_note("Ctrl-C again or Ctrl-D leaves");
    *armed = !had_text;
    return leave;
}

/* On a terminal the user has seen what failed; a script learns it from the exit status. */
static int end_status(const ag_cli_chatter *c) {
    return c->failed && !c->lines.on_terminal ? AG_CLI_FAILED : AG_CLI_DONE;
}

static int converse(ag_cli_chatter *c, ag_buf *text) {
    bool armed = false;
    for (;;) {
        ag_err err = {0};
        bool had_text = false;
        ag_cli_key key = ag_cli_lines_read(&c->lines, text, &had_text, &err);
        if (key == AG_CLI_INTERRUPT) {
            if (second_interrupt(c, had_text, &armed))
                return AG_CLI_LEFT;
            continue;
        }
        if (key == AG_CLI_EOF)
            return err.code ? ag_cli_fail(&err) : end_status(c);
        ag_span line = ag_buf_span(text);
        armed = false;
        if (line.n == 0 && c->attached.n == 0)
            continue;
        if (ag_span_starts(line, ag_str("//")))
            say(c, ag_span_sub(line, 1, line.n));
        else if (!ag_span_starts(line, ag_str("/")))
            say(c, line);
        else if (ag_cli_chat_command(c, line) == AG_CLI_STOP)
            return end_status(c);
        armed = c->answer.stopped;
        c->answer.stopped = false;
        if (ag_cli_out_lost())
            return AG_CLI_DONE;
    }
}

static int begin(ag_cli_chatter *c) {
    ag_err err = {0};
    ag_engine_get_info(c->engine, &c->info);
    if (!c->info.has_chat_template && !c->a->chat_template) {
        ag_cli_note("the model has no chat template");
        ag_cli_hint("give one with --chat-template FILE, or use 'autoglm run' to continue texts");
        return AG_CLI_FAILED;
    }
    if (ag_cli_convo_system(&c->convo, c->a->system, &err))
        return ag_cli_fail(&err);
    if (c->lines.on_terminal && !c->a->quiet) {
        ag_cli_out_name(ag_str(c->info.name));
        ag_cli_out(", context %u tokens. /help lists commands, Ctrl-D leaves.\n",
                   c->info.context_length);
    }
    ag_cli_catch_interrupt();
    return AG_CLI_DONE;
}

int ag_cli_chat(const ag_cli_args *a) {
    ag_cli_chatter c = {.a = a};
    ag_sampling sampling;
    ag_buf text;
    ag_err err = {0};
    int status = ag_cli_sampling(a, c.bias, &sampling); /* mistakes are told before loading */
    if (!status && a->system && ag_cli_check_utf8(ag_str(a->system), "--system", &err))
        status = ag_cli_fail(&err);
    if (!status)
        status = ag_cli_engine_open(a, &(ag_cli_need){.sequences = 1}, &c.engine, NULL);
    if (status)
        return status;
    ag_cli_lines_init(&c.lines);
    ag_buf_init(&c.attached, AG_ROOM_CLI, AG_MAX_TEXT_BYTES);
    ag_buf_init(&c.answer.text, AG_ROOM_CLI, AG_MAX_RENDERED_BYTES);
    ag_buf_init(&text, AG_ROOM_CLI, AG_CLI_EDIT_MAX);
    status = begin(&c);
    if (!status)
        status = converse(&c, &text);
    ag_engine_close(&c.engine);
    ag_cli_lines_deinit(&c.lines);
    ag_cli_convo_deinit(&c.convo);
    ag_buf_deinit(&c.attached);
    ag_buf_deinit(&c.answer.text);
    ag_buf_deinit(&text);
    return status;
}
