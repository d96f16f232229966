/* Private to load/: the object behind ag_source, and what its readers fill it with. */
#ifndef AG_LOAD_SOURCE_PARTS_H
#define AG_LOAD_SOURCE_PARTS_H

#include "base/arena.h"
#include "base/map.h"
#include "load/source.h"

typedef struct ag_source_file {
    ag_file_map map; /* closed when the bytes are borrowed */
    char *path;      /* owned; NULL when from memory */
    ag_span bytes;   /* the whole file */
} ag_source_file;

struct ag_source {
    char *path;            /* owned; NULL when from memory */
    const char *format;    /* for people; constant */
    ag_source_file *files; /* owned [n_files]; of a split GGUF in split order */
    size_t n_files;
    ag_source_key *keys; /* owned; in file order */
    size_t n_keys, keys_room;
    ag_tensor *tensors; /* owned; in file order */
    size_t n_tensors, tensors_room;
    ag_map key_index;    /* name → index in keys */
    ag_map tensor_index; /* name → index in tensors */
    ag_arena made;       /* names, values and views that lie in no file */
};

/* An empty source, named `path` (copied; NULL when from memory). AG_E_NOMEM. */
ag_code ag_source_new(const char *path, const char *format, ag_source **out,
                      ag_err *err) AG_MUST_USE;
/* Map a file (path not NULL) or borrow bytes, and count it in; a failure leaves nothing to undo. */
ag_code ag_source_add_file(ag_source *s, const char *path, ag_span bytes, ag_err *err) AG_MUST_USE;
/* Append a key or a tensor, whose name must live as long as the source. AG_E_FORMAT when the name
 * is there already, AG_E_NOMEM. Tensors keep their order, but the array may move. */
ag_code ag_source_add_key(ag_source *s, ag_span name, ag_value value, ag_err *err) AG_MUST_USE;
ag_code ag_source_add_tensor(ag_source *s, const ag_tensor *t, ag_err *err) AG_MUST_USE;

/* Bytes of a scalar in GGUF's encoding; 0 for strings, arrays and unknown kinds. */
static inline size_t ag_value_bytes(uint32_t kind) {
    static const uint8_t bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return kind < sizeof bytes ? bytes[kind] : 0;
}

/* Name of a value's kind for messages: "an array". */
const char *ag_value_kind_name(ag_value_kind kind);

/* gguf_parse.c: parse file `i` of s: its keys too when i is 0, its tensors always appended. On
 * error s keeps what was there before (the caller closes it). */
ag_code ag_gguf_parse_part(ag_source *s, size_t i, ag_err *err) AG_MUST_USE;

#endif
