/* The simplest use: one question, one answer.
 *
 *     cc chat.c $(pkg-config --cflags --libs autoglm) -o chat
 *     ./chat model.gguf "What is the capital of France?" */
#include <stdio.h>

#include <autoglm/engine.h>

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s MODEL.gguf QUESTION\n", argv[0]);
        return 2;
    }
    ag_engine_opts opts = ag_engine_default();
    opts.model = argv[1];

    ag_err err = {0};
    ag_engine *engine = NULL;
    if (ag_engine_open(&opts, &engine, &err)) {
        fprintf(stderr, "%s: %s\n", ag_code_name(err.code), err.msg);
        return 1;
    }

    /* Zero options mean: until the model ends its answer. A small limit keeps an example short. */
    ag_request_opts request = ag_request_default();
    request.max_tokens = 200;
    ag_message messages[] = {
        {"system", "You are a helpful assistant. Answer briefly."},
        {"user", argv[2]},
    };
    char *answer = NULL;
    ag_code code = ag_engine_chat(engine, messages, 2, &request, &answer, NULL, &err);
    if (code)
        fprintf(stderr, "%s: %s\n", ag_code_name(code), err.msg);
    else
        printf("%s\n", answer);

    ag_string_free(answer);
    ag_engine_close(&engine);
    return code ? 1 : 0;
}
