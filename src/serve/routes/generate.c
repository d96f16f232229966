/* POST /v1/chat/completions, POST /v1/completions, DELETE /v1/requests/{}. */
#include "base/json_out.h"
#include "routes/task.h"

static bool generates(ag_exchange *x, const ag_served *served) {
    ag_problem p;
    const ag_engine_info *info = ag_served_info(served);
    if (info->generates)
        return true;
    ag_problem_bad(&p, "model",
                   "the model \"%.100s\" makes embeddings only; it cannot generate text",
                   ag_served_name(served));
    ag_exchange_problem(x, &p);
    return false;
}

static void generate(ag_exchange *x, bool is_chat) {
    ag_problem p;
    ag_gen gen;
    ag_served *served;
    if (!ag_exchange_parse(x, &p) ||
        !ag_gen_read(&gen, is_chat, x->body, &x->arena, &x->ignored, &p)) {
        ag_exchange_problem(x, &p);
        return;
    }
    if (!ag_exchange_model(x, gen.model, &served))
        return;
    if (generates(x, served))
        ag_task_start(x, &gen, served);
    else
        ag_runtime_release(&served);
}

static void chat(ag_exchange *x) { generate(x, true); }
static void completions(ag_exchange *x) { generate(x, false); }

void ag_route_chat(ag_exchange *x) { ag_exchange_defer(x, chat); }
void ag_route_completions(ag_exchange *x) { ag_exchange_defer(x, completions); }

/* ---- ending one from outside ----------------------------------------------------------------- */

/* End the request of that id, if this tenant may. */
static bool cancel(ag_exchange *x) {
    ag_routes *r = x->routes;
    const char *id = x->arg;
    if (strncmp(id, "chatcmpl-", 9) == 0)
        id += 9;
    else if (strncmp(id, "cmpl-", 5) == 0)
        id += 5;
    ag_task *task = NULL;
    bool found = false;
    pthread_mutex_lock(&r->lock);
    for (ag_exchange *other = r->exchanges; other && !found; other = other->next) {
        bool computes = other->route && other->route->permission == AG_MAY_INFER;
        found = computes && strcmp(other->id, id) == 0 && strcmp(other->tenant, x->tenant) == 0;
        if (!found)
            continue;
        other->cancelled = true;
        task = other->task;
        if (task)
            atomic_fetch_add(&task->refs, 1);
    }
    pthread_mutex_unlock(&r->lock);
    if (task) {
        ag_task_cancel(task, AG_CANCEL_OWNER);
        ag_task_unref(task);
    }
    return found;
}

void ag_route_cancel(ag_exchange *x) {
    if (!cancel(x)) {
        ag_problem p;
        ag_problem_set(&p, 404, "invalid_request_error", "request_not_found", NULL,
                       "no running request has the id \"%.140s\"", x->arg);
        ag_exchange_problem(x, &p);
        return;
    }
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_ROUTES, 1024);
    ag_json_open(&out, '{');
    ag_json_key(&out, "id");
    ag_json_str(&out, x->arg);
    ag_json_key(&out, "object");
    ag_json_str(&out, "request");
    ag_json_key(&out, "cancelled");
    ag_json_bool(&out, true);
    ag_json_close(&out, '}');
    ag_exchange_json(x, 200, &out);
}
