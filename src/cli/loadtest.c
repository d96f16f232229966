/* autoglm loadtest: load on a server, and what its clients saw. */
#include "loadtest/loadtest.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cli/args.h"
#include "cli/out.h"
#include "cli/progress.h"
#include "cli/stream.h"
#include "net/net.h"

#define MAX_KEY   1024u
#define MAX_TEXTS 100000u

/* What the options borrow from. */
typedef struct sources {
    ag_buf key, texts;
    const char **lines; /* owned */
    char model[256];
} sources;

static void sources_init(sources *s) {
    *s = (sources){0};
    ag_buf_init(&s->key, AG_ROOM_CLI, MAX_KEY);
    ag_buf_init(&s->texts, AG_ROOM_CLI, AG_MAX_TEXT_BYTES);
}

static void sources_deinit(sources *s) {
    ag_buf_deinit(&s->key);
    ag_buf_deinit(&s->texts);
    ag_free(s->lines);
}

static ag_code read_key(const ag_cli_args *a, sources *s, ag_err *err) {
    if (!a->api_key_file)
        return AG_OK;
    ag_code code = ag_file_read(a->api_key_file, &s->key, err);
    if (code)
        return code;
    s->key.n = strcspn(ag_buf_cstr(&s->key), "\r\n");
    s->key.p[s->key.n] = '\0';
    return AG_OK;
}

/* Prompts from a file, one a line that is not empty. */
static ag_code read_texts(const ag_cli_args *a, sources *s, ag_load_opts *o, ag_err *err) {
    if (!a->file)
        return AG_OK;
    ag_code code = ag_file_read(a->file, &s->texts, err);
    if (code)
        return code;
    s->lines = ag_calloc(AG_ROOM_CLI, MAX_TEXTS, sizeof *s->lines);
    char *at = (char *)ag_buf_cstr(&s->texts);
    if (!s->lines || !at)
        return ag_fail(err, AG_E_NOMEM, "out of memory for the prompts");
    while (*at && o->n_texts < MAX_TEXTS) {
        size_t n = strcspn(at, "\n");
        bool last = !at[n];
        at[n] = '\0';
        if (n)
            s->lines[o->n_texts++] = at;
        at += n + !last;
    }
    o->texts = s->lines;
    return o->n_texts ? AG_OK : ag_fail(err, AG_E_ARG, "%s holds no prompt", a->file);
}

/* The first model that the server lists. */
static ag_code ask_model(const char *base, const sources *s, char model[256], ag_err *err) {
    char url[AG_NET_MAX_URL], auth[MAX_KEY + 16];
    ag_net *net;
    ag_net_reply reply;
    ag_buf body;
    snprintf(url, sizeof url, "%s%smodels", base,
             ag_span_ends(ag_str(base), ag_str("/")) ? "" : "/");
    snprintf(auth, sizeof auth, "Bearer %s", s->key.n ? s->key.p : "");
    ag_code code = ag_net_new(NULL, &net, err);
    if (code)
        return code;
    ag_buf_init(&body, AG_ROOM_CLI, (size_t)4 << 20);
    ag_net_request req = {
        .url = url,
        .headers = &(ag_net_header){.name = "Authorization", .value = auth, .is_secret = true},
        .n_headers = s->key.n ? 1 : 0,
        .out = &body,
        .total_ms = 30000};
    code = ag_net_do(net, &req, &reply, err);
    json_t *j = code ? NULL : json_loadb(body.p ? body.p : "", body.n, 0, NULL);
    const char *id =
        json_string_value(json_object_get(json_array_get(json_object_get(j, "data"), 0), "id"));
    if (!code && reply.status == 200 && id)
        snprintf(model, 256, "%s", id);
    else if (!code)
        code = ag_fail(err, AG_E_IO,
                       "%s answered with status %d and no model; the address is the API's, which "
                       "usually ends in /v1, or --model names one",
                       url, reply.status);
    json_decref(j);
    ag_buf_deinit(&body);
    ag_net_free(&net);
    return code;
}

static bool on_progress(void *ctx, uint64_t done, uint64_t all) {
    if (all)
        ag_cli_progress_tell(ctx, done, all);
    return ag_cli_take_interrupts() == 0;
}

static void print_row(const char *name, const ag_load_series *s) {
    if (s->n == 0) {
        ag_cli_out("%-26s %9s %9s %9s %9s %9s\n", name, "-", "-", "-", "-", "-");
        return;
    }
    ag_cli_out("%-26s %9.1f %9.1f %9.1f %9.1f %9.1f\n", name, ag_load_mean(s) * 1e3,
               ag_load_quantile(s, 0.5) * 1e3, ag_load_quantile(s, 0.9) * 1e3,
               ag_load_quantile(s, 0.99) * 1e3, ag_load_quantile(s, 1) * 1e3);
}

static void print_table(const ag_load_opts *o, const ag_load_result *r) {
    double per_s = r->wall_s > 0 ? 1 / r->wall_s : 0;
    ag_cli_out("requests   %llu answered, %llu refused, %llu failed, in %.2f s\n",
               (unsigned long long)r->succeeded, (unsigned long long)r->refused,
               (unsigned long long)r->failed, r->wall_s);
    ag_cli_out("tokens     %llu of prompts (%llu cached), %llu generated\n",
               (unsigned long long)r->prompt_tokens, (unsigned long long)r->cached_tokens,
               (unsigned long long)r->generated_tokens);
    ag_cli_out("rate       %.2f requests/s, %.1f tokens/s", (double)r->succeeded * per_s,
               (double)r->generated_tokens * per_s);
    if (o->slo_ttft_ms || o->slo_itl_ms)
        ag_cli_out(", goodput %.2f requests/s", (double)r->met * per_s);
    ag_cli_out("\n\n%-26s %9s %9s %9s %9s %9s\n", "milliseconds", "mean", "p50", "p90", "p99",
               "max");
    print_row("time to first token", &r->ttft);
    print_row("between tokens (ITL)", &r->itl);
    print_row("per output token (TPOT)", &r->tpot);
    print_row("whole request", &r->e2e);
}

/* JSON or the table, and the drawing where one was asked for. */
static int report(const ag_cli_args *a, const ag_load_opts *o, const ag_load_result *r) {
    ag_buf text;
    ag_err err = {0};
    ag_code code = AG_OK;
    ag_buf_init(&text, AG_ROOM_CLI, (size_t)4 << 20);
    if (a->plot) {
        ag_load_svg(o, r, &text);
        code = ag_buf_check(&text, "the plot", &err);
        if (!code)
            code = ag_file_write(a->plot, ag_buf_span(&text), &err);
        text.n = 0;
    }
    if (a->json) {
        ag_load_json(o, r, &text);
        ag_cli_out_bytes(ag_buf_span(&text));
        ag_cli_out("\n");
    } else {
        print_table(o, r);
    }
    ag_buf_deinit(&text);
    if (r->first_error[0])
        ag_cli_note("the first failure: %s", r->first_error);
    if (code)
        return ag_cli_fail(&err);
    return r->failed || !r->succeeded ? AG_CLI_FAILED : AG_CLI_DONE;
}

static ag_load_api api_of(const ag_cli_args *a) {
    if (!a->load_api || !strcmp(a->load_api, "chat"))
        return AG_LOAD_CHAT;
    return strcmp(a->load_api, "completions") ? AG_LOAD_EMBEDDINGS : AG_LOAD_COMPLETIONS;
}

int ag_cli_loadtest(const ag_cli_args *a) {
    sources s;
    ag_err err = {0};
    ag_cli_progress bar;
    ag_load_result result = {0};
    ag_load_opts o = {.base_url = a->pos[0],
                      .model = a->served_model,
                      .api = api_of(a),
                      .whole = a->whole,
                      .clients = a->clients,
                      .rate = a->rate,
                      .requests = a->requests,
                      .duration_s = a->duration,
                      .warmup = a->warmup,
                      .prompt_words = a->prompt_words,
                      .shared_words = a->shared_words,
                      .max_tokens = a->max_tokens,
                      .stop_early = a->stop_early,
                      .temperature = ag_cli_given(a, "temp") ? a->temp : 0,
                      .seed = a->seed,
                      .timeout_s = a->timeout,
                      .slo_ttft_ms = a->slo_ttft,
                      .slo_itl_ms = a->slo_itl,
                      .progress_ctx = &bar,
                      .on_progress = on_progress};
    if (!ag_load_streams(&o) && (a->slo_ttft || a->slo_itl))
        return ag_cli_usage("loadtest: %s is about when tokens come, and %s answers in one piece: "
                            "leave one of them out",
                            a->slo_ttft ? "--slo-ttft" : "--slo-itl",
                            o.whole ? "--no-stream" : "--api embeddings");
    sources_init(&s);
    ag_code code = ag_net_check_url(o.base_url, &err);
    if (!code)
        code = read_key(a, &s, &err);
    if (!code)
        code = read_texts(a, &s, &o, &err);
    o.api_key = s.key.n ? s.key.p : NULL;
    if (!code && !o.model) {
        code = ask_model(o.base_url, &s, s.model, &err);
        o.model = s.model;
    }
    if (!code) {
        ag_cli_catch_interrupt();
        ag_cli_progress_begin(&bar, "requests", !ag_cli_may_colour(STDERR_FILENO));
        bar.counts = true;
        code = ag_load_run(&o, &result, &err);
        ag_cli_progress_end(&bar);
    }
    int status = code ? ag_cli_fail(&err) : report(a, &o, &result);
    ag_load_result_deinit(&result);
    sources_deinit(&s);
    return status;
}
