/* Embeddings: how near each text is in meaning to the first one.
 *
 *     cc embed.c $(pkg-config --cflags --libs autoglm) -o embed
 *     ./embed embedder.gguf "How do I sign in?" "The cat sleeps." "Open the login page." */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <autoglm/engine.h>

/* Vectors have length 1, so their scalar product is the cosine of the angle between them. */
static float dot(const float *a, const float *b, size_t n) {
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

int main(int argc, char **argv) {
    ag_engine *engine = NULL;
    ag_err err = {0};
    ag_engine_opts opts = ag_engine_default();
    if (argc < 3) {
        fprintf(stderr, "usage: embed MODEL TEXT...\n");
        return 2;
    }
    opts.model = argv[1];
    if (ag_engine_open(&opts, &engine, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    ag_engine_info info;
    ag_engine_get_info(engine, &info);
    size_t n = (size_t)argc - 2, e = info.n_embd;
    ag_embed_input *inputs = calloc(n, sizeof *inputs);
    float *vectors = calloc(n * e, sizeof *vectors);
    ag_code code = AG_E_NOMEM;
    if (inputs && vectors) {
        for (size_t i = 0; i < n; i++) {
            inputs[i].text = argv[2 + i];
            inputs[i].text_len = strlen(argv[2 + i]);
        }
        code = ag_engine_embed(engine, inputs, n, NULL, vectors, NULL, &err);
    }
    if (code)
        fprintf(stderr, "%s\n", err.msg);
    for (size_t i = 0; i < n && !code; i++)
        printf("%.3f  %s\n", (double)dot(vectors, vectors + i * e, e), argv[2 + i]);
    free(vectors);
    free(inputs);
    ag_engine_close(&engine);
    return code ? 1 : 0;
}
