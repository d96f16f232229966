/* Whole requests through the routes, the runtime and the engine, with a tiny model that computes:
 * an answer is never a 5xx but where there is a line, it is what OpenAI's clients can read, its
 * form is the one that was asked for, and its memory is given back.
 *
 * Input that begins with "{" is the body of a chat and of a completion; any other is a recipe for
 * up to three requests that run at once, whose clients may read slowly, leave, or cancel each
 * other. */
#include <unistd.h>

#include "base/clock.h"
#include "fuzz/exchange_check.h"
#include "fuzz/exchange_recipe.h"
#include "routes/routes.h"

#define PATIENCE_US 20000000u /* sanitizers on a busy machine are slow */

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Opened once, closed when the process ends: what leaked is seen then. */
static struct world {
    ag_buf chat_template;
    ag_runtime *runtime;
    ag_metrics *metrics;
    ag_routes *routes;
    ag_http_handler handler;
    size_t idle_bytes; /* of the routes, while nothing is asked */
    uint64_t n_answers[600];
} world;

static void close_world(void) {
    ag_routes_stop(world.routes);
    ag_runtime_close(&world.runtime);
    ag_routes_free(&world.routes);
    ag_metrics_free(&world.metrics);
    ag_buf_deinit(&world.chat_template);
    fprintf(stderr, "answers:");
    for (size_t i = 0; i < 600; i++)
        if (world.n_answers[i])
            fprintf(stderr, " %zu: %llu", i, (unsigned long long)world.n_answers[i]);
    fprintf(stderr, "; of a form: %llu\n", (unsigned long long)n_forms);
}

static void read_template(const char *path) {
    char block[4096];
    FILE *f = fopen(path, "rb");
    AG_ASSERT(f);
    ag_buf_init(&world.chat_template, AG_ROOM_TEST, 1 << 20);
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;)
        ag_buf_add(&world.chat_template, block, n);
    fclose(f);
    AG_ASSERT(ag_buf_cstr(&world.chat_template));
}

static void open_world(void) {
    static const char *const aliases[] = {"gpt"};
    static ag_served_decl models[] = {
        {.name = "chat",
         .aliases = aliases,
         .n_aliases = 1,
         /* Little room, so that requests wait, lose their places and are refused. */
         .opts = {.model = AG_MODELS_DIR "/micro-chat.gguf",
                  .max_sequences = 4,
                  .kv_tokens = 640,
                  .max_queued_requests = 4}},
        {.name = "embed", .opts = {.model = AG_MODELS_DIR "/micro-bert.gguf"}},
    };
    ag_err err = {0};
    read_template("tests/golden/templates/own/chatml.jinja"); /* with tools and reasoning */
    models[0].opts.chat_template = world.chat_template.p;
    ag_runtime_opts runtime = {.models = models, .n_models = 2, .n_threads = 1};
    AG_ASSERT(ag_runtime_open(&runtime, &world.runtime, &err) == AG_OK);
    while (!ag_runtime_is_ready(world.runtime))
        usleep(1000);
    AG_ASSERT(ag_metrics_new(&world.metrics, &err) == AG_OK);
    ag_routes_opts routes = {.runtime = world.runtime, .metrics = world.metrics};
    AG_ASSERT(ag_routes_new(&routes, &world.routes, &err) == AG_OK);
    world.handler = ag_routes_handler(world.routes);
    world.idle_bytes = ag_mem_bytes(AG_ROOM_ROUTES);
    atexit(close_world);
}

/* The last reference may be another thread's, for a moment. */
static void wait_for_memory(void) {
    uint64_t began = ag_clock_us();
    while (ag_mem_bytes(AG_ROOM_ROUTES) != world.idle_bytes) {
        AG_ASSERT(ag_clock_us() - began < PATIENCE_US);
        sched_yield();
    }
}

static void run(ag_http_req **v, size_t n) {
    for (size_t i = 0; i < n; i++)
        pipe_start(&world.handler, v[i]);
    pipe_run(&world.handler, v, n);
    wait_for_memory();
    for (size_t i = 0; i < n; i++) {
        world.n_answers[v[i]->gone ? 0 : v[i]->status]++;
        if (!v[i]->gone)
            check_answer(v[i]);
        ag_http_req_unref(v[i]);
    }
}

static ag_http_req *raw_request(const char *path, const uint8_t *p, size_t n) {
    ag_http_req *r = pipe_request();
    r->method = "POST";
    snprintf(r->path, sizeof r->path, "%s", path);
    ag_buf_add(&r->body, p, n);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    if (n == 0 || n > 4096)
        return 0;
    if (!world.routes)
        open_world();
    ag_http_req *v[3];
    size_t n_requests = 0;
    if (p[0] == '{') {
        v[n_requests++] = raw_request("/v1/chat/completions", p, n);
        v[n_requests++] = raw_request("/v1/completions", p, n);
    } else {
        recipe r = {.p = p, .n = n};
        for (unsigned i = 0, most = 1 + take(&r, 3); i < most; i++)
            v[n_requests++] = recipe_request(&r, i);
    }
    run(v, n_requests);
    return 0;
}
