/* Private to load/: the object behind ag_gguf and the parser of one file of it. */
#ifndef AG_LOAD_GGUF_FILE_H
#define AG_LOAD_GGUF_FILE_H

#include "base/map.h"
#include "load/gguf.h"

typedef struct ag_gguf_part {
    ag_file_map map; /* closed when the bytes are borrowed */
    char *path;      /* owned; NULL when from memory */
    ag_span bytes;   /* the whole file */
} ag_gguf_part;

struct ag_gguf {
    uint32_t version;
    ag_gguf_part *parts; /* [n_parts], in split order */
    size_t n_parts;
    ag_gguf_key *keys; /* of the first part, in file order */
    size_t n_keys;
    ag_gguf_tensor *tensors; /* of all parts, in file order */
    size_t n_tensors;
    ag_map key_index;    /* name → index in keys */
    ag_map tensor_index; /* name → index in tensors */
};

/* Parse part `i` of g: its keys too when i is 0, its tensors always appended. On error g keeps what
 * was there before (the caller closes it). */
ag_code ag_gguf_parse_part(ag_gguf *g, size_t i, ag_err *err) AG_MUST_USE;

/* Bytes of a scalar in the file; 0 for strings, arrays and unknown kinds. */
static inline size_t ag_gguf_scalar_bytes(uint32_t kind) {
    static const uint8_t bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return kind < sizeof bytes ? bytes[kind] : 0;
}

/* Name of a value's kind for messages: "an array of strings". */
const char *ag_gguf_kind_name(ag_gguf_kind kind);

#endif
