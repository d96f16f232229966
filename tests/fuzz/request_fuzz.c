/* Bodies of chat and completion requests: any bytes give options, or a 400 that names a field; what
 * is answered is JSON. Out of memory apart, nothing of a client's makes a 5xx. */
#include <stdint.h>

#include "base/utf8.h"
#include "routes/prompt.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_problem(const ag_problem *problem) {
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_TEST, 1 << 20);
    AG_ASSERT(problem->status == 400 && problem->message[0] && problem->type && problem->code);
    ag_problem_json(problem, &out);
    json_t *json = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, NULL);
    AG_ASSERT(json_object_size(json_object_get(json, "error")) == 4);
    json_decref(json);
    ag_buf_deinit(&out);
}

static void check_ignored(const ag_buf *ignored) {
    for (size_t i = 0; i < ignored->n; i++)
        AG_ASSERT(ignored->p[i] >= ' ' && ignored->p[i] <= '~');
}

static void check_chat(const ag_gen *g, ag_problem *problem) {
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_TEST, AG_MAX_CHAT_BYTES);
    if (ag_prompts_check(g, problem) && ag_prompt_chat_json(g, &out, problem)) {
        json_t *json = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, NULL);
        AG_ASSERT(json_is_object(json));
        json_decref(json);
    } else {
        check_problem(problem);
    }
    ag_buf_deinit(&out);
}

static void read(const uint8_t *p, size_t n, bool chat) {
    json_t *root = NULL;
    ag_problem problem = {0};
    ag_gen g;
    ag_arena arena;
    ag_buf ignored;
    ag_arena_init(&arena, AG_ROOM_TEST, 64 << 20);
    ag_buf_init(&ignored, AG_ROOM_TEST, 1024);
    if (!ag_body_parse(ag_span_of(p, n), &root, &problem) ||
        !ag_gen_read(&g, chat, root, &arena, &ignored, &problem))
        check_problem(&problem);
    else if (chat)
        check_chat(&g, &problem);
    check_ignored(&ignored);
    ag_buf_deinit(&ignored);
    ag_arena_deinit(&arena);
    json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    read(p, n, true);
    read(p, n, false);
    return 0;
}
