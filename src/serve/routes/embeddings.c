/* POST /v1/embeddings. Computing waits for the engine, so a pool's thread does it, a few inputs at
 * a time: what a client no longer waits for is left alone. */
#include <stdio.h>

#include "base/clock.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "routes/exchange.h"

#define MAX_INPUTS 2048 /* as OpenAI has it */
#define BATCH      64   /* inputs given to the engine at a time */

typedef struct embed_request {
    const char *model, *format;
    json_t *input;
    uint32_t dimensions;
    bool truncate;
    ag_embed_opts opts;
    /* from here on: the job */
    ag_exchange *x;         /* referenced */
    ag_served *served;      /* a lease */
    ag_embed_input *inputs; /* the arena's [n] */
    size_t n, dims;
    uint64_t due_us; /* when its time is over; UINT64_MAX: never */
    ag_buf out;
    uint64_t n_tokens;
} embed_request;

#define AT(field) offsetof(embed_request, field)

static const ag_field fields[] = {
    {.name = "model", .kind = AG_FIELD_TEXT, .at = AT(model)},
    {.name = "input", .kind = AG_FIELD_ANY, .at = AT(input)},
    {.name = "encoding_format", .kind = AG_FIELD_TEXT, .at = AT(format), .words = "float base64"},
    {.name = "dimensions", .kind = AG_FIELD_U32, .at = AT(dimensions), .min = 1, .max = 1048576},
    {.name = "truncate", .kind = AG_FIELD_BOOL, .at = AT(truncate)},
    {.name = "user", .kind = AG_FIELD_TAKEN},
    {0},
};

/* ---- reading --------------------------------------------------------------------------------- */

static bool read_input(embed_request *e, const json_t *one, const char *param, size_t i,
                       ag_problem *p) {
    ag_embed_input *in = &e->inputs[i];
    ag_id_list ids;
    if (json_is_string(one)) {
        *in = (ag_embed_input){.text = json_string_value(one), .text_len = json_string_length(one)};
        return in->text_len || ag_problem_bad(p, param, "%s is empty", param);
    }
    if (!json_is_array(one))
        return ag_problem_bad(p, param, "%s must be a string or token ids, it is %s", param,
                              ag_field_kind_name(one));
    if (!ag_field_ids(one, param, 1 << 24, &e->x->arena, &ids, p))
        return false;
    *in = (ag_embed_input){.ids = ids.v, .n_ids = ids.n};
    return ids.n || ag_problem_bad(p, param, "%s is empty", param);
}

static bool read_inputs(embed_request *e, ag_problem *p) {
    const json_t *input = e->input;
    bool many = json_is_array(input) && !json_is_number(json_array_get(input, 0));
    if (!input)
        return ag_problem_bad(p, "input",
                              "input is missing: a string, token ids, or a list of them");
    e->n = many ? json_array_size(input) : 1;
    if (e->n == 0 || e->n > MAX_INPUTS)
        return ag_problem_bad(p, "input", "input has %zu entries; 1 to %d are accepted", e->n,
                              MAX_INPUTS);
    e->inputs = ag_arena_array(&e->x->arena, e->n, sizeof *e->inputs);
    if (!e->inputs)
        return ag_problem_memory(p, "the request");
    for (size_t i = 0; i < e->n; i++) {
        char param[AG_PARAM_TEXT] = "input";
        if (many)
            snprintf(param, sizeof param, "input[%zu]", i);
        if (!read_input(e, many ? json_array_get(input, i) : input, param, i, p))
            return false;
    }
    return true;
}

static bool check_model(embed_request *e, ag_problem *p) {
    const ag_engine_info *info = ag_served_info(e->served);
    if (info->generates && info->pooling == AG_POOLING_MODEL)
        return ag_problem_bad(p, "model", "the model \"%.100s\" was not made for embeddings",
                              ag_served_name(e->served));
    if (e->dimensions > info->n_embd)
        return ag_problem_bad(p, "dimensions", "dimensions is %u; the model's vectors have %u",
                              e->dimensions, info->n_embd);
    e->dims = e->dimensions ? e->dimensions : info->n_embd;
    e->opts = ag_embed_default();
    e->opts.dimensions = e->dimensions;
    e->opts.truncate = e->truncate;
    e->opts.tenant = e->x->tenant;
    e->opts.tenant_weight = e->x->weight;
    uint32_t ms;
    if (!ag_exchange_time(e->x, &ms, p))
        return false;
    e->due_us = ms ? ag_clock_us() + (uint64_t)ms * 1000 : UINT64_MAX;
    return true;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void add_base64(ag_buf *out, const void *bytes, size_t n) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = bytes;
    if (!ag_buf_reserve(out, (n + 2) / 3 * 4))
        return;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (uint32_t)(i + 1 < n ? p[i + 1] : 0) << 8 |
                     (uint32_t)(i + 2 < n ? p[i + 2] : 0);
        out->p[out->n++] = digits[v >> 18];
        out->p[out->n++] = digits[v >> 12 & 63];
        out->p[out->n++] = i + 1 < n ? digits[v >> 6 & 63] : '=';
        out->p[out->n++] = i + 2 < n ? digits[v & 63] : '=';
    }
}

static void add_vector(embed_request *e, size_t index, const float *v) {
    ag_buf *out = &e->out;
    ag_json_open(out, '{');
    ag_json_key(out, "object");
    ag_json_str(out, "embedding");
    ag_json_key(out, "index");
    ag_json_u64(out, index);
    ag_json_key(out, "embedding");
    if (e->format && e->format[0] == 'b') { /* little-endian floats, as this machine has them */
        ag_buf_addc(out, '"');
        add_base64(out, v, e->dims * sizeof *v);
        ag_buf_addc(out, '"');
    } else {
        ag_json_open(out, '[');
        for (size_t i = 0; i < e->dims; i++)
            ag_json_f32(out, v[i]);
        ag_json_close(out, ']');
    }
    ag_json_close(out, '}');
}

static void add_end(embed_request *e) {
    ag_buf *out = &e->out;
    ag_json_close(out, ']');
    ag_json_key(out, "model");
    ag_json_str(out, ag_served_name(e->served));
    ag_json_key(out, "usage");
    ag_json_open(out, '{');
    ag_json_key(out, "prompt_tokens");
    ag_json_u64(out, e->n_tokens);
    ag_json_key(out, "total_tokens");
    ag_json_u64(out, e->n_tokens);
    ag_json_close(out, '}');
    ag_json_close(out, '}');
}

/* ---- the job --------------------------------------------------------------------------------- */

/* May the next inputs be computed? What is left of the request's time is theirs. */
static ag_code go_on(embed_request *e, ag_err *err) {
    uint64_t now = ag_clock_us();
    if (ag_exchange_is_over(e->x))
        return atomic_load(&e->x->routes->stopping)
                   ? ag_fail(err, AG_E_CLOSED, "the server is shutting down")
                   : ag_fail(err, AG_E_CANCELLED, "the request was cancelled");
    if (now >= e->due_us)
        return ag_fail(err, AG_E_TIMEOUT, "the request's time is over before all was computed");
    if (e->due_us != UINT64_MAX)
        e->opts.timeout_ms = (uint32_t)((e->due_us - now) / 1000 + 1);
    return AG_OK;
}

static ag_code compute(embed_request *e, ag_err *err) {
    float *v = ag_calloc(AG_ROOM_ROUTES, BATCH * e->dims, sizeof *v);
    uint32_t tokens[BATCH];
    ag_code code = v ? AG_OK : ag_fail(err, AG_E_NOMEM, "out of memory for %d vectors", BATCH);
    for (size_t at = 0; at < e->n && !code; at += BATCH) {
        size_t n = e->n - at < BATCH ? e->n - at : BATCH;
        code = go_on(e, err);
        if (code)
            break;
        code = ag_engine_embed(ag_served_engine(e->served), e->inputs + at, n, &e->opts, v, tokens,
                               err);
        for (size_t i = 0; i < n && !code; i++) {
            add_vector(e, at + i, v + i * e->dims);
            e->n_tokens += tokens[i];
        }
    }
    ag_free(v);
    return code;
}

static void end(embed_request *e) {
    ag_buf_deinit(&e->out);
    ag_runtime_release(&e->served);
    ag_exchange_unref(e->x);
}

static void work(void *ctx) {
    embed_request *e = ctx;
    ag_err err = {0};
    ag_problem p;
    ag_buf_init(&e->out, AG_ROOM_ROUTES, (size_t)1 << 30);
    ag_buf_adds(&e->out, "{\"object\":\"list\",\"data\":[");
    if (compute(e, &err)) {
        bool its_fault = err.code == AG_E_ARG || err.code == AG_E_UTF8 || err.code == AG_E_CTX_FULL;
        ag_problem_of(&p, &err, its_fault ? "input" : NULL);
        ag_exchange_problem(e->x, &p);
    } else {
        add_end(e);
        e->x->record.n_prompt = (uint32_t)e->n_tokens;
        ag_exchange_json(e->x, 200, &e->out);
    }
    end(e);
}

static void read_request(ag_exchange *x) {
    ag_problem p;
    embed_request *e = ag_arena_get(&x->arena, sizeof *e);
    if (!e) {
        ag_problem_memory(&p, "the request");
        ag_exchange_problem(x, &p);
        return;
    }
    if (!ag_exchange_read(x, fields, e) || !ag_exchange_model(x, e->model, &e->served))
        return;
    e->x = x;
    ag_exchange_ref(x);
    bool fine = read_inputs(e, &p) && check_model(e, &p);
    if (fine && !ag_work_push(x->routes->slow, work, e)) {
        fine = ag_problem_set(&p, 503, "server_error", "overloaded", NULL,
                              "too many embedding requests are waiting");
        p.retry_s = 2;
    }
    if (!fine) {
        ag_exchange_problem(x, &p);
        end(e);
    }
}

void ag_route_embeddings(ag_exchange *x) { ag_exchange_defer(x, read_request); }
