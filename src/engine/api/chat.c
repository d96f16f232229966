/* Chat: messages through the model's template, then generation. */
#include "api/engine.h"

static ag_code no_template(ag_err *err) {
    return ag_fail(err, AG_E_UNSUPPORTED, "chat templates are not wired yet");
}

ag_code ag_engine_chat(ag_engine *engine, const ag_message *messages, size_t n_messages,
                       const ag_request_opts *opts, char **answer, ag_result *result, ag_err *err) {
    (void)engine, (void)messages, (void)n_messages, (void)opts, (void)answer, (void)result;
    return no_template(err);
}

ag_code ag_engine_chat_ids(ag_engine *engine, const ag_message *messages, size_t n_messages,
                           int32_t **ids, size_t *n, ag_err *err) {
    (void)engine, (void)messages, (void)n_messages, (void)ids, (void)n;
    return no_template(err);
}

ag_code ag_engine_render(ag_engine *engine, const char *json, size_t json_len, char **text,
                         ag_err *err) {
    (void)engine, (void)json, (void)json_len, (void)text;
    return no_template(err);
}
