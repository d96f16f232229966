/* autoglm embed: texts as vectors, one a line. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cli/engine.h"
#include "cli/input.h"
#include "cli/out.h"

/* Inputs given to the engine at a time: results come out while later ones are computed. */
#define BATCH 256

typedef struct embed {
    const ag_cli_args *a;
    ag_engine *engine;
    ag_embed_opts opts;
    size_t dims;
    float *vectors; /* owned [BATCH, dims] */
    ag_embed_input inputs[BATCH];
    uint32_t tokens[BATCH];
    size_t n;        /* inputs waiting */
    uint64_t n_done; /* inputs written */
    uint64_t n_tokens;
} embed;

static void print_vector(const embed *e, size_t i) {
    const float *v = e->vectors + i * e->dims;
    if (e->a->raw) {
        ag_cli_out_bytes(ag_span_of(v, e->dims * sizeof *v));
        return;
    }
    if (e->a->json)
        ag_cli_out("{\"index\": %llu, \"tokens\": %u, \"embedding\": [",
                   (unsigned long long)(e->n_done + i), e->tokens[i]);
    for (size_t d = 0; d < e->dims; d++) {
        const char *between = d == 0 ? "" : e->a->json ? ", " : " ";
        if (e->a->json && !isfinite(v[d]))
            ag_cli_out("%snull", between);
        else
            ag_cli_out("%s%.9g", between, (double)v[d]);
    }
    ag_cli_out(e->a->json ? "]}\n" : "\n");
}

static ag_code flush(embed *e, ag_err *err) {
    if (e->n == 0)
        return AG_OK;
    ag_code code =
        ag_engine_embed(e->engine, e->inputs, e->n, &e->opts, e->vectors, e->tokens, err);
    for (size_t i = 0; i < e->n && !code; i++) {
        print_vector(e, i);
        e->n_tokens += e->tokens[i];
    }
    e->n_done += e->n;
    e->n = 0;
    ag_cli_out_flush();
    return code;
}

static ag_code add(embed *e, ag_span text, ag_err *err) {
    e->inputs[e->n++] = (ag_embed_input){.text = text.p ? text.p : "", .text_len = text.n};
    return e->n == BATCH ? flush(e, err) : AG_OK;
}

/* Every line is an input; empty ones are skipped, and a carriage return before the end. */
static ag_code add_lines(embed *e, ag_span all, ag_err *err) {
    ag_code code = AG_OK;
    while (all.n > 0 && !code && !ag_cli_out_lost()) {
        const char *end = memchr(all.p, '\n', all.n);
        size_t n = end ? (size_t)(end - all.p) : all.n;
        ag_span line = ag_span_sub(all, 0, n);
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        all = ag_span_sub(all, end ? n + 1 : n, all.n);
        if (line.n > 0)
            code = add(e, line, err);
    }
    return code;
}

static ag_code run(embed *e, ag_span lines, ag_err *err) {
    ag_engine_info info;
    ag_engine_get_info(e->engine, &info);
    if (e->a->dimensions > info.n_embd)
        return ag_fail(err, AG_E_ARG, "--dimensions is %u; the model's vectors have %u",
                       e->a->dimensions, info.n_embd);
    e->dims = e->a->dimensions ? e->a->dimensions : info.n_embd;
    e->vectors = ag_calloc(AG_ROOM_CLI, BATCH * e->dims, sizeof *e->vectors);
    if (!e->vectors)
        return ag_fail(err, AG_E_NOMEM, "out of memory for %d vectors", BATCH);
    ag_code code = AG_OK;
    for (int i = 0; i < e->a->n_pos && !code; i++)
        code = add(e, ag_str(e->a->pos[i]), err);
    if (!code)
        code = add_lines(e, lines, err);
    return code ? code : flush(e, err);
}

static ag_pooling pooling_of(const char *name) {
    for (int p = AG_POOLING_MEAN; name && p <= AG_POOLING_LAST; p++)
        if (strcmp(name, ag_pooling_name((ag_pooling)p)) == 0)
            return (ag_pooling)p;
    return AG_POOLING_MODEL;
}

int ag_cli_embed(const ag_cli_args *a) {
    embed e = {.a = a,
               .opts = {.pooling = pooling_of(a->pooling),
                        .normalize = !a->no_normalize,
                        .dimensions = a->dimensions,
                        .truncate = a->truncate}};
    ag_err err = {0};
    ag_buf lines;
    if (a->n_pos > 0 && a->file)
        return ag_cli_usage("embed: give texts or --file, one of the two");
    if (a->raw && a->json)
        return ag_cli_usage("embed: give --raw or --json, one of the two");
    ag_buf_init(&lines, AG_ROOM_CLI, AG_MAX_TEXT_BYTES);
    int status = a->n_pos > 0 ? AG_CLI_DONE : ag_cli_text(a, "text", &lines);
    if (!status)
        status = ag_cli_engine_open(a, &(ag_cli_need){0}, &e.engine, NULL);
    uint64_t began = ag_clock_us();
    if (!status && run(&e, ag_span_of(lines.p, lines.n), &err))
        status = ag_cli_fail(&err);
    double seconds = (double)(ag_clock_us() - began) * 1e-6;
    if (!status && !a->quiet)
        ag_cli_note("%llu input%s, %llu token%s in %.2f s: %.1f inputs/s, %.0f tokens/s",
                    (unsigned long long)e.n_done, e.n_done == 1 ? "" : "s",
                    (unsigned long long)e.n_tokens, e.n_tokens == 1 ? "" : "s", seconds,
                    (double)e.n_done / seconds, (double)e.n_tokens / seconds);
    ag_free(e.vectors);
    ag_engine_close(&e.engine);
    ag_buf_deinit(&lines);
    return status;
}
