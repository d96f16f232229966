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
    if (!ag_body_parse(x->text, &x->body, &p) ||
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

/* The request of that id which this tenant may end, with a reference on its task. */
static ag_task *find_task(ag_exchange *x) {
    ag_routes *r = x->routes;
    const char *id = x->arg;
    if (strncmp(id, "chatcmpl-", 9) == 0)
        id += 9;
    else if (strncmp(id, "cmpl-", 5) == 0)
        id += 5;
    ag_task *found = NULL;
    pthread_mutex_lock(&r->lock);
    for (ag_exchange *other = r->exchanges; other && !found; other = other->next)
        if (other->task && strcmp(other->id, id) == 0 && strcmp(other->tenant, x->tenant) == 0)
            found = other->task;
    if (found)
        atomic_fetch_add(&found->refs, 1);
    pthread_mutex_unlock(&r->lock);
    return found;
}

void ag_route_cancel(ag_exchange *x) {
    ag_task *t = find_task(x);
    if (!t) {
        ag_problem p;
        ag_problem_set(&p, 404, "invalid_request_error", "request_not_found", NULL,
                       "no running request has the id \"%.140s\"", x->arg);
        ag_exchange_problem(x, &p);
        return;
    }
    ag_task_cancel(t, AG_CANCEL_OWNER);
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_ROUTES, 1024);
    ag_json_open(&out, '{');
    ag_json_key(&out, "id");
    ag_json_str(&out, t->x->id);
    ag_json_key(&out, "object");
    ag_json_str(&out, "request");
    ag_json_key(&out, "cancelled");
    ag_json_bool(&out, true);
    ag_json_close(&out, '}');
    ag_exchange_json(x, 200, &out);
    ag_task_unref(t);
}
