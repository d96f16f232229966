/* GET /v1/models and what stands below it: which models there are and how far they are. */
#include "base/json_out.h"
#include "routes/exchange.h"

/* How tokens are chosen where a request says nothing. */
static void add_sampling(const ag_sampling *s, ag_buf *out) {
    ag_json_key(out, "sampling");
    ag_json_open(out, '{');
    ag_json_key(out, "temperature");
    ag_json_f32(out, s->temperature);
    ag_json_key(out, "top_k");
    ag_json_i64(out, s->top_k);
    ag_json_key(out, "top_p");
    ag_json_f32(out, s->top_p);
    ag_json_key(out, "min_p");
    ag_json_f32(out, s->min_p);
    ag_json_key(out, "repetition_penalty");
    ag_json_f32(out, s->repetition_penalty);
    ag_json_close(out, '}');
}

/* Numbers that a client may want to plan with; of a model that is loaded. */
static void add_meta(const ag_served_status *s, ag_buf *out) {
    const ag_engine_info *i = &s->info;
    ag_json_open(out, '{');
    ag_json_key(out, "architecture");
    ag_json_str(out, i->architecture);
    ag_json_key(out, "n_params");
    ag_json_u64(out, i->n_params);
    ag_json_key(out, "size_bytes");
    ag_json_u64(out, i->file_bytes);
    ag_json_key(out, "memory_bytes");
    ag_json_u64(out, i->weight_bytes);
    ag_json_key(out, "kv_bytes");
    ag_json_u64(out, i->kv_bytes);
    ag_json_key(out, "scratch_bytes");
    ag_json_u64(out, i->scratch_bytes);
    ag_json_key(out, "quantization");
    ag_json_str(out, i->weight_type);
    ag_json_key(out, "digest");
    ag_json_str(out, i->digest[0] ? i->digest : NULL);
    ag_json_key(out, "n_ctx");
    ag_json_u64(out, i->context_length);
    ag_json_key(out, "n_ctx_train");
    ag_json_u64(out, i->train_context);
    ag_json_key(out, "n_vocab");
    ag_json_u64(out, i->n_vocab);
    ag_json_key(out, "n_embd");
    ag_json_u64(out, i->n_embd);
    ag_json_key(out, "n_layers");
    ag_json_u64(out, i->n_layers);
    ag_json_key(out, "bits_per_weight");
    ag_json_f32(out, i->bits_per_weight);
    if (i->generates)
        add_sampling(&s->sampling, out);
    ag_json_key(out, "generates");
    ag_json_bool(out, i->generates);
    ag_json_key(out, "has_chat_template");
    ag_json_bool(out, i->has_chat_template);
    ag_json_close(out, '}');
}

static void add_model(const ag_served_status *s, const char *id, ag_buf *out) {
    bool alive = s->info.architecture != NULL;
    ag_json_open(out, '{');
    ag_json_key(out, "id");
    ag_json_str(out, id);
    ag_json_key(out, "object");
    ag_json_str(out, "model");
    ag_json_key(out, "created");
    ag_json_u64(out, s->ready_s);
    ag_json_key(out, "owned_by");
    ag_json_str(out, "autoglm");
    ag_json_key(out, "root");
    ag_json_str(out, s->decl->name);
    ag_json_key(out, "state");
    ag_json_str(out, ag_served_state_name(s->state));
    if (alive) {
        ag_json_key(out, "max_model_len");
        ag_json_u64(out, s->info.context_length);
        ag_json_key(out, "meta");
        add_meta(s, out);
    }
    ag_json_close(out, '}');
}

/* The model that the path names, and its status; false: answered with 404. */
static bool find_model(ag_exchange *x, size_t *index, ag_served_status *s) {
    ag_runtime *rt = x->routes->opts.runtime;
    size_t i = *index = ag_runtime_find(rt, x->arg);
    if (i == SIZE_MAX) {
        ag_problem p;
        ag_problem_set(&p, 404, "invalid_request_error", "model_not_found", "model",
                       "the model \"%.200s\" does not exist; GET /v1/models lists what there is",
                       x->arg);
        ag_exchange_problem(x, &p);
        return false;
    }
    ag_runtime_status(rt, i, s);
    x->record.model = s->decl->name;
    return true;
}

/* Aliases are listed as well: clients look for the name that they were given. */
void ag_route_models(ag_exchange *x) {
    ag_runtime *rt = x->routes->opts.runtime;
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_ROUTES, (size_t)16 << 20);
    ag_json_open(&out, '{');
    ag_json_key(&out, "object");
    ag_json_str(&out, "list");
    ag_json_key(&out, "data");
    ag_json_open(&out, '[');
    for (size_t i = 0; i < ag_runtime_n(rt); i++) {
        ag_served_status s;
        ag_served *look = ag_runtime_look(rt, i, &s);
        add_model(&s, s.decl->name, &out);
        for (size_t k = 0; k < s.decl->n_aliases; k++)
            add_model(&s, s.decl->aliases[k], &out);
        ag_runtime_unlook(&look);
    }
    ag_json_close(&out, ']');
    ag_json_close(&out, '}');
    ag_exchange_json(x, 200, &out);
}

void ag_route_model(ag_exchange *x) {
    ag_served_status s;
    size_t i;
    if (!find_model(x, &i, &s))
        return;
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_ROUTES, (size_t)1 << 20);
    ag_served *look = ag_runtime_look(x->routes->opts.runtime, i, &s);
    add_model(&s, x->arg, &out);
    ag_runtime_unlook(&look);
    ag_exchange_json(x, 200, &out);
}

/* How far loading is; asking starts it. 200 once the model answers, else 503. */
void ag_route_model_ready(ag_exchange *x) {
    ag_served_status s;
    ag_buf out;
    size_t i;
    if (!find_model(x, &i, &s))
        return;
    if (s.state == AG_SERVED_ABSENT || s.state == AG_SERVED_UNLOADED) {
        ag_err err = {0};
        if (ag_runtime_load(x->routes->opts.runtime, x->arg, &err) == AG_OK)
            s.state = AG_SERVED_LOADING;
    }
    bool ready = s.state == AG_SERVED_READY;
    double eta = ag_served_eta_s(&s);
    ag_buf_init(&out, AG_ROOM_ROUTES, 8192);
    ag_json_open(&out, '{');
    ag_json_key(&out, "model");
    ag_json_str(&out, s.decl->name);
    ag_json_key(&out, "ready");
    ag_json_bool(&out, ready);
    ag_json_key(&out, "phase");
    ag_json_str(&out, ag_served_state_name(s.state));
    ag_json_key(&out, "bytes_loaded");
    ag_json_u64(&out, s.done_bytes);
    ag_json_key(&out, "bytes_total");
    ag_json_u64(&out, s.total_bytes);
    ag_json_key(&out, "percent");
    ag_json_f32(&out, (float)(int)(ag_served_share(&s) * 1000) / 10);
    ag_json_key(&out, "elapsed_s");
    ag_json_f32(&out, (float)(s.elapsed_us / 1000) / 1000);
    ag_json_key(&out, "eta_s");
    if (eta >= 0)
        ag_json_f32(&out, (float)eta);
    else
        ag_json_null(&out);
    ag_json_key(&out, "error");
    ag_json_str(&out, s.state == AG_SERVED_FAILED ? s.err.msg : NULL);
    ag_json_close(&out, '}');
    ag_exchange_json(x, ready ? 200 : 503, &out);
}

/* KServe's form: the status says it all. */
void ag_route_model_infer_ready(ag_exchange *x) {
    ag_served_status s;
    ag_buf out;
    size_t i;
    if (!find_model(x, &i, &s))
        return;
    bool ready = s.state == AG_SERVED_READY;
    ag_buf_init(&out, AG_ROOM_ROUTES, 8192);
    ag_json_open(&out, '{');
    ag_json_key(&out, "name");
    ag_json_str(&out, s.decl->name);
    ag_json_key(&out, "ready");
    ag_json_bool(&out, ready);
    ag_json_close(&out, '}');
    ag_exchange_json(x, ready ? 200 : 503, &out);
}
