/* autoglm bench: speed beside what the machine could do at most. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/bench_run.h"
#include "cli/engine.h"
#include "cli/experts.h"
#include "cli/facts.h"
#include "cli/input.h"
#include "cli/limits.h"
#include "cli/out.h"
#include "cli/peer.h"

#define MAX_TESTS 16

typedef struct bench {
    const ag_cli_args *a;
    ag_cli_bench_test tests[MAX_TESTS];
    size_t n_tests;
    ag_cli_facts facts; /* numbers only: its spans end with the file's mapping */
    ag_kv_type kv_type;
    ag_engine *engine;
    ag_engine_info info;
    ag_cli_limits limits;
    ag_rng rng;
    char path[PATH_MAX];
    ag_cli_peer peer; /* with --peers */
} bench;

typedef struct row {
    char name[48];
    double tok_s, prefill_tok_s, least, most;
    double limit_tok_s; /* NAN when unknown */
    double peer_tok_s;  /* NAN without --peers */
    const char *bound;  /* "memory" or "compute" */
    ag_cli_expert_use use;
} row;

/* ---- what to measure ------------------------------------------------------------------------- */

static void add(bench *b, ag_cli_bench_test t) {
    if (b->n_tests < MAX_TESTS)
        b->tests[b->n_tests++] = t;
}

/* The usual sizes, as far as the model's context reaches. */
static void add_default(bench *b) {
    static const ag_cli_bench_test usual[] = {
        {.kind = AG_CLI_PP, .n = 128},
        {.kind = AG_CLI_PP, .n = 512},
        {.kind = AG_CLI_PP, .n = 2048},
        {.kind = AG_CLI_TG, .n = 64},
        {.kind = AG_CLI_TG, .n = 64, .depth = 2048},
        {.kind = AG_CLI_BATCH, .n = 1, .npp = 128, .ntg = 32},
        {.kind = AG_CLI_BATCH, .n = 4, .npp = 128, .ntg = 32},
        {.kind = AG_CLI_BATCH, .n = 16, .npp = 128, .ntg = 32},
    };
    uint32_t most = b->a->ctx ? b->a->ctx : b->facts.ctx ? b->facts.ctx : 2048;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (ag_cli_bench_ctx(&usual[i]) <= most)
            add(b, usual[i]);
}

static int choose_tests(bench *b) {
    const ag_cli_args *a = b->a;
    if (a->batch) {
        uint32_t npp = a->pp && !ag_cli_given(a, "npp") ? a->pp : a->npp;
        uint32_t ntg = a->tg && !ag_cli_given(a, "ntg") ? a->tg : a->ntg;
        if ((uint64_t)a->batch * npp > 134217728)
            return ag_cli_usage("bench: --batch times --npp is more than 134217728 tokens");
        add(b, (ag_cli_bench_test){.kind = AG_CLI_BATCH, .n = a->batch, .npp = npp, .ntg = ntg});
        return AG_CLI_DONE;
    }
    if (ag_cli_given(a, "npp") || ag_cli_given(a, "ntg"))
        return ag_cli_usage("bench: --npp and --ntg belong to --batch, which is missing");
    if (a->depth && !a->tg)
        return ag_cli_usage("bench: --depth belongs to --tg, which is missing");
    if (a->pp)
        add(b, (ag_cli_bench_test){.kind = AG_CLI_PP, .n = a->pp});
    if (a->tg)
        add(b, (ag_cli_bench_test){.kind = AG_CLI_TG, .n = a->tg, .depth = a->depth});
    return AG_CLI_DONE;
}

static void name_test(const ag_cli_bench_test *t, char name[48]) {
    if (t->kind == AG_CLI_PP)
        snprintf(name, 48, "pp%u", t->n);
    else if (t->kind == AG_CLI_BATCH)
        snprintf(name, 48, "batch%u %u+%u", t->n, t->npp, t->ntg);
    else if (t->depth)
        snprintf(name, 48, "tg%u@%u", t->n, t->depth);
    else
        snprintf(name, 48, "tg%u", t->n);
}

/* ---- the limit ------------------------------------------------------------------------------- */

/* Tokens a second if memory or arithmetic alone set the pace: weights and KV read at full
 * bandwidth, multiply-adds at full rate. Weights in the CPU's cache can be faster than that. */
static void find_limit(const bench *b, const ag_cli_bench_test *t, row *r) {
    const ag_cli_facts *f = &b->facts;
    const ag_cli_limits *m = &b->limits;
    bool reencoded = b->a->dtype && strcmp(b->a->dtype, "auto") != 0;
    bool is_bf16 = reencoded ? strcmp(b->a->dtype, "bf16") == 0 : f->main_type == AG_T_BF16;
    bool is_float = reencoded || f->main_type == AG_T_F32 || f->main_type == AG_T_F16;
    double peak = is_bf16 ? m->bf16_ops : is_float ? m->float_ops : m->int8_ops;
    double attention = 4.0 * f->layers * f->heads * f->key_len / m->float_ops; /* a position */
    double bytes = (double)f->decode_bytes;
    double per_position = (double)ag_cli_kv_bytes(f, b->kv_type, 32 * AG_KV_BLOCK) / 1024.0;
    double past = 0, sequences = 1, memory = 0, compute = 0;
    r->limit_tok_s = NAN;
    if (m->read_bytes <= 0 || peak <= 0 || f->tensor_bytes == 0)
        return;
    if (reencoded)
        bytes *= (double)b->info.weight_bytes / (double)f->tensor_bytes;
    if (t->kind == AG_CLI_PP) {
        compute = 2.0 * (double)f->prefill_params / peak + attention * t->n / 2.0;
        memory = bytes / t->n / m->read_bytes;
    } else {
        bool is_batch = t->kind == AG_CLI_BATCH;
        sequences = is_batch ? t->n : 1;
        past = is_batch ? t->npp + t->ntg / 2.0 : t->depth + t->n / 2.0;
        double params = bytes * (double)f->params / (double)f->tensor_bytes;
        memory = (bytes / sequences + per_position * past) / m->read_bytes;
        compute = 2.0 * params / peak + attention * past;
    }
    r->bound = memory > compute ? "memory" : "compute";
    r->limit_tok_s = 1.0 / (memory > compute ? memory : compute);
}

/* ---- measuring ------------------------------------------------------------------------------- */

static int by_speed(const void *x, const void *y) {
    double a = ((const ag_cli_bench_value *)x)->tok_s, b = ((const ag_cli_bench_value *)y)->tok_s;
    return (a > b) - (a < b);
}

/* Touch what the test will touch, at a size that takes little time. */
static ag_code warm_up(bench *b, const ag_cli_bench_test *t, ag_err *err) {
    ag_cli_bench_value ignored;
    ag_cli_bench_test small = {.kind = AG_CLI_PP, .n = t->kind == AG_CLI_PP ? t->n : 32};
    small.n = small.n > 64 ? 64 : small.n;
    ag_code code = ag_cli_bench_take(b->engine, &small, &b->rng, &ignored, err);
    if (code || t->kind == AG_CLI_PP)
        return code;
    small = (ag_cli_bench_test){.kind = AG_CLI_TG, .n = 2};
    return ag_cli_bench_take(b->engine, &small, &b->rng, &ignored, err);
}

static double median(ag_cli_bench_value *v, uint32_t n) {
    qsort(v, n, sizeof *v, by_speed);
    return n % 2 ? v[n / 2].tok_s : (v[n / 2 - 1].tok_s + v[n / 2].tok_s) / 2;
}

/* In turns with the peer, so that a slow spell of the machine meets both. */
static ag_code measure(bench *b, const ag_cli_bench_test *t, row *r, ag_err *err) {
    uint32_t n = b->a->reps;
    ag_cli_bench_value *v = ag_calloc(AG_ROOM_CLI, 2 * (size_t)n, sizeof *v);
    if (!v)
        return ag_fail(err, AG_E_NOMEM, "out of memory for %u repetitions", n);
    ag_cli_bench_value *peers = v + n;
    ag_cli_experts experts = {0};
    ag_code code = warm_up(b, t, err);
    if (!code)
        code = ag_cli_experts_begin(&experts, b->engine, err);
    for (uint32_t i = 0; i < n && !code; i++) {
        code = ag_cli_bench_take(b->engine, t, &b->rng, &v[i], err);
        if (!code && b->a->peers)
            code = ag_cli_peer_take(&b->peer, t, &peers[i], err);
    }
    if (!code) {
        *r = (row){.tok_s = median(v, n),
                   .prefill_tok_s = v[n / 2].prefill_tok_s,
                   .least = v[0].tok_s,
                   .most = v[n - 1].tok_s,
                   .bound = "",
                   .peer_tok_s = b->a->peers ? median(peers, n) : NAN,
                   .use = ag_cli_experts_end(&experts, b->engine)};
        name_test(t, r->name);
        find_limit(b, t, r);
    }
    ag_cli_experts_deinit(&experts);
    ag_free(v);
    return code;
}

/* ---- showing --------------------------------------------------------------------------------- */

static void show_head(const bench *b) {
    const char *mixture = ag_cli_mixture(&b->facts);
    const char *type = mixture ? mixture : ag_type_find((uint32_t)b->facts.main_type)->name;
    if (b->a->json) {
        ag_cli_out_json(json_pack("{s:o, s:s, s:s, s:s, s:i, s:{s:o, s:o, s:o, s:o}}", "model",
                                  ag_cli_json_text(ag_str(b->info.name)), "architecture",
                                  b->info.architecture, "quantisation", type, "isa", b->info.isa,
                                  "threads", (int)b->info.n_threads, "limits", "memory_gb_s",
                                  ag_cli_json_num(b->limits.read_bytes / 1e9), "int8_gop_s",
                                  ag_cli_json_num(b->limits.int8_ops / 1e9), "float_gop_s",
                                  ag_cli_json_num(b->limits.float_ops / 1e9), "bf16_gop_s",
                                  ag_cli_json_num(b->limits.bf16_ops / 1e9)));
    } else {
        ag_cli_out("model    ");
        ag_cli_out_name(ag_str(b->info.name));
        ag_cli_out(" (%s, %s)\nkernels  %s, %u threads\n", b->info.architecture, type, b->info.isa,
                   b->info.n_threads);
        ag_cli_out("machine  memory %.1f GB/s, int8 %.0f, float %.0f, bf16 %.0f GOP/s on these "
                   "threads\n\n",
                   b->limits.read_bytes / 1e9, b->limits.int8_ops / 1e9, b->limits.float_ops / 1e9,
                   b->limits.bf16_ops / 1e9);
        ag_cli_out("%-16s %10s %18s", "test", "tok/s", "least - most");
        if (b->a->peers)
            ag_cli_out(" %10s %6s", "llama.cpp", "times");
        ag_cli_out(" %10s  %s\n", "prefill", "share of the limit");
    }
    ag_cli_out_flush();
}

static void show_row(const bench *b, const row *r) {
    double share = r->tok_s / r->limit_tok_s;
    if (b->a->json) {
        json_t *o =
            json_pack("{s:s, s:o, s:o, s:o}", "test", r->name, "tok_s", ag_cli_json_num(r->tok_s),
                      "least", ag_cli_json_num(r->least), "most", ag_cli_json_num(r->most));
        if (o && isfinite(r->peer_tok_s)) {
            json_object_set_new(o, "peer_tok_s", ag_cli_json_num(r->peer_tok_s));
            json_object_set_new(o, "times", ag_cli_json_num(r->tok_s / r->peer_tok_s));
        }
        if (o && isfinite(r->prefill_tok_s))
            json_object_set_new(o, "prefill_tok_s", ag_cli_json_num(r->prefill_tok_s));
        if (o && isfinite(r->limit_tok_s)) {
            json_object_set_new(o, "bound", json_string(r->bound));
            json_object_set_new(o, "limit_tok_s", ag_cli_json_num(r->limit_tok_s));
            json_object_set_new(o, "share", ag_cli_json_num(share));
        }
        if (o && r->use.expert >= 0)
            json_object_set_new(o, "experts",
                                json_pack("{s:i, s:i, s:o, s:i, s:i}", "n", r->use.n_all, "idle",
                                          r->use.n_idle, "busiest", ag_cli_json_num(r->use.busiest),
                                          "layer", r->use.layer, "expert", r->use.expert));
        ag_cli_out_json(o);
    } else {
        char range[40], prefill[24] = "";
        snprintf(range, sizeof range, "%.1f - %.1f", r->least, r->most);
        if (isfinite(r->prefill_tok_s))
            snprintf(prefill, sizeof prefill, "%.1f", r->prefill_tok_s);
        ag_cli_out("%-16s %10.1f %18s", r->name, r->tok_s, range);
        if (isfinite(r->peer_tok_s))
            ag_cli_out(" %10.1f %6.2f", r->peer_tok_s, r->tok_s / r->peer_tok_s);
        ag_cli_out(" %10s", prefill);
        if (isfinite(r->limit_tok_s))
            ag_cli_out("  %3.0f%% of %.1f (%s)", 100.0 * share, r->limit_tok_s, r->bound);
        ag_cli_out("\n");
        if (b->a->verbose && r->use.expert >= 0)
            ag_cli_note("experts: %d of %d had nothing to do; the busiest (layer %d, expert %d) "
                        "had %.1f times an even share",
                        r->use.n_idle, r->use.n_all, r->use.layer, r->use.expert, r->use.busiest);
    }
    ag_cli_out_flush();
}

/* ---- the command ----------------------------------------------------------------------------- */

static int read_facts(bench *b) {
    static const char *const kv[AG_KV_TYPES] = {
        [AG_KV_F32] = "f32", [AG_KV_F16] = "f16", [AG_KV_BF16] = "bf16", [AG_KV_Q8_0] = "q8_0"};
    ag_source *g = NULL;
    ag_err err = {0};
    int status = ag_cli_model_path(b->a, b->path);
    if (status)
        return status;
    if (ag_source_open(b->path, &g, &err))
        return ag_cli_fail(&err);
    ag_cli_facts_read(g, &b->facts);
    ag_source_close(&g);
    b->kv_type = AG_KV_F16;
    for (int t = 0; t < AG_KV_TYPES; t++)
        if (b->a->kv_type && strcmp(b->a->kv_type, kv[t]) == 0)
            b->kv_type = (ag_kv_type)t;
    return AG_CLI_DONE;
}

static int open_engine(bench *b) {
    ag_cli_need need = {.sequences = 1, .measured = true};
    for (size_t i = 0; i < b->n_tests; i++) {
        uint32_t ctx = ag_cli_bench_ctx(&b->tests[i]);
        uint32_t sequences = ag_cli_bench_sequences(&b->tests[i]);
        need.ctx = ctx > need.ctx ? ctx : need.ctx;
        need.sequences = sequences > need.sequences ? sequences : need.sequences;
        if ((uint64_t)ctx * sequences > need.kv_tokens)
            need.kv_tokens = (uint64_t)ctx * sequences;
    }
    if (need.kv_tokens < b->a->ctx)
        need.kv_tokens = b->a->ctx;
    int status = ag_cli_engine_open(b->a, &need, &b->engine, NULL);
    if (!status)
        ag_engine_get_info(b->engine, &b->info);
    return status;
}

/* The peer gets the file as it is, so neither may we change it. */
static int find_peer(bench *b) {
    const ag_cli_args *a = b->a;
    ag_err err = {0};
    if ((a->dtype && strcmp(a->dtype, "auto") != 0) ||
        (a->quantize && strcmp(a->quantize, "none") != 0))
        return ag_cli_usage("bench: --peers measures the file as it is, without --dtype and "
                            "--quantize");
    if (!ag_span_ends(ag_str(b->path), ag_str(".gguf")))
        return ag_cli_usage("bench: --peers needs a GGUF file, llama.cpp reads no other");
    if (ag_cli_peer_find(a->peers, &b->peer, &err))
        return ag_cli_fail(&err);
    b->peer.model = b->path;
    b->peer.kv_type = a->kv_type;
    return AG_CLI_DONE;
}

int ag_cli_bench(const ag_cli_args *a) {
    bench b = {.a = a};
    ag_err err = {0};
    ag_rng_init(&b.rng, 42);
    int status = choose_tests(&b);
    if (!status)
        status = read_facts(&b);
    if (!status && b.n_tests == 0)
        add_default(&b);
    if (!status && a->peers)
        status = find_peer(&b);
    if (!status)
        status = open_engine(&b);
    if (status)
        return status;
    b.peer.n_threads = b.info.n_threads;
    ag_code code = ag_cli_limits_measure((int)b.info.n_threads, &b.limits, &err);
    if (code)
        ag_cli_note("the machine's limits are unknown: %s", err.msg);
    code = AG_OK;
    show_head(&b);
    for (size_t i = 0; i < b.n_tests && !code && !ag_cli_out_lost(); i++) {
        row r;
        code = measure(&b, &b.tests[i], &r, &err);
        if (!code)
            show_row(&b, &r);
    }
    ag_engine_close(&b.engine);
    return code ? ag_cli_fail(&err) : AG_CLI_DONE;
}
