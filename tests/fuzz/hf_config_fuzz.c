/* A folder from bytes: config.json up to the first NUL, then a safetensors file. Any of it opens or
 * gives a reason; every row of every tensor of a folder that opened can be read in both types. */
#include <stdint.h>
#include <stdlib.h>

#include "load/hf.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* One row at a time, up to a limit of time, into exactly as many bytes as it takes. */
static void read_all(const ag_tensor *t) {
    ag_type types[] = {t->type, t->keep};
    for (int k = 0; k < 2; k++) {
        size_t bytes = ag_type_bytes(types[k], (size_t)t->dim[0]);
        void *room = malloc(bytes ? bytes : 1);
        for (uint64_t row = 0; room && row < ag_tensor_rows(t) && row < 64; row++)
            (void)ag_tensor_read(t, row, 1, types[k], room);
        free(room);
    }
    int file;
    uint64_t at;
    size_t bytes;
    for (size_t i = 0; t->view && t->view->piece(t, i, &file, &at, &bytes); i++)
        AG_ASSERT(file == 0 && bytes > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    const uint8_t *zero = n ? memchr(p, 0, n) : NULL;
    ag_span config = ag_span_of(p, zero ? (size_t)(zero - p) : n);
    ag_span weights = zero ? ag_span_of(zero + 1, n - config.n - 1) : (ag_span){0};
    ag_source *s = NULL;
    ag_err err = {0};
    if (ag_hf_open_bytes(config, weights, &s, &err)) {
        AG_ASSERT(s == NULL && err.code != AG_OK && err.msg[0]);
        return 0;
    }
    for (size_t i = 0; i < ag_source_n_tensors(s); i++)
        read_all(ag_source_tensor_at(s, i));
    ag_source_close(&s);
    return 0;
}
