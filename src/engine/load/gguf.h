/* GGUF files, version 2 and 3, split files too: mapped, parsed once through the cursor, validated.
 *
 * Everything read here is hostile: names, counts, sizes and offsets are checked before use, and
 * spans point into the mapping, which lives until ag_gguf_close(). After opening, the object is
 * constant and may be read from any thread.
 * Format: docs/formats.md. */
#ifndef AG_LOAD_GGUF_H
#define AG_LOAD_GGUF_H

#include "base/file.h"
#include "base/span.h"
#include "kernels/types.h"

typedef enum ag_gguf_kind {
    AG_GGUF_U8 = 0,
    AG_GGUF_I8 = 1,
    AG_GGUF_U16 = 2,
    AG_GGUF_I16 = 3,
    AG_GGUF_U32 = 4,
    AG_GGUF_I32 = 5,
    AG_GGUF_F32 = 6,
    AG_GGUF_BOOL = 7,
    AG_GGUF_STRING = 8,
    AG_GGUF_ARRAY = 9,
    AG_GGUF_U64 = 10,
    AG_GGUF_I64 = 11,
    AG_GGUF_F64 = 12,
} ag_gguf_kind;

typedef struct ag_gguf_value {
    ag_gguf_kind kind;
    union {
        uint64_t u; /* U8..U64, BOOL (0 or 1) */
        int64_t i;  /* I8..I64 */
        double f;   /* F32, F64 */
        ag_span s;  /* STRING: bytes, maybe not UTF-8 */
        struct {
            ag_gguf_kind kind; /* of the elements; never ARRAY */
            uint64_t n;        /* elements */
            ag_span bytes;     /* their encoding in the file, bounds already checked */
        } a;                   /* ARRAY */
    };
} ag_gguf_value;

typedef struct ag_gguf_key {
    ag_span name;
    ag_gguf_value value;
} ag_gguf_key;

typedef struct ag_gguf_tensor {
    ag_span name;
    ag_type type;        /* a known type; maybe one this build does not decode */
    int n_dims;          /* 1..4 */
    uint64_t dim[4];     /* innermost first; unused ones are 1 */
    const uint8_t *data; /* in the mapping of its split */
    size_t bytes;
    uint64_t file_at; /* byte offset of data in its file */
    int split;        /* which file */
} ag_gguf_tensor;

typedef struct ag_gguf ag_gguf;

/* Open a file and, if it is the first of a split set (NAME-00001-of-0000N.gguf), all its siblings.
 * AG_E_NOT_FOUND, AG_E_IO, AG_E_FORMAT (message gives file and byte offset), AG_E_UNSUPPORTED
 * (version, tensor type), AG_E_LIMIT, AG_E_NOMEM. */
ag_code ag_gguf_open(const char *path, ag_gguf **out, ag_err *err) AG_MUST_USE;
void ag_gguf_close(ag_gguf **g);

/* Parse bytes already in memory (they must outlive the object): for tests and fuzzers. */
ag_code ag_gguf_open_bytes(const void *p, size_t n, ag_gguf **out, ag_err *err) AG_MUST_USE;

const char *ag_gguf_path(const ag_gguf *g); /* of a split; "" when from memory */
uint32_t ag_gguf_version(const ag_gguf *g);
uint64_t ag_gguf_file_bytes(const ag_gguf *g); /* all splits together */

size_t ag_gguf_n_keys(const ag_gguf *g);
const ag_gguf_key *ag_gguf_key_at(const ag_gguf *g, size_t i);
size_t ag_gguf_n_tensors(const ag_gguf *g);
const ag_gguf_tensor *ag_gguf_tensor_at(const ag_gguf *g, size_t i);

/* NULL when absent. */
const ag_gguf_value *ag_gguf_find(const ag_gguf *g, const char *key);
const ag_gguf_tensor *ag_gguf_find_tensor(const ag_gguf *g, const char *name);

/* Tell the system that a tensor's bytes will be read soon / need not stay in memory. */
void ag_gguf_want(const ag_gguf *g, const ag_gguf_tensor *t);
void ag_gguf_drop(const ag_gguf *g, const ag_gguf_tensor *t);

/* Typed look-ups: AG_E_NOT_FOUND when absent, AG_E_FORMAT when of another kind or out of range
 * ("llama.block_count: expected an unsigned integer up to 4294967295, found a string"). Integers of
 * any width convert. */
ag_code ag_gguf_get_u32(const ag_gguf *g, const char *key, uint32_t *out, ag_err *err) AG_MUST_USE;
ag_code ag_gguf_get_f32(const ag_gguf *g, const char *key, float *out, ag_err *err) AG_MUST_USE;
ag_code ag_gguf_get_bool(const ag_gguf *g, const char *key, bool *out, ag_err *err) AG_MUST_USE;
ag_code ag_gguf_get_str(const ag_gguf *g, const char *key, ag_span *out, ag_err *err) AG_MUST_USE;
/* The same, but an absent key leaves *out as it is and is no error. */
ag_code ag_gguf_opt_u32(const ag_gguf *g, const char *key, uint32_t *out, ag_err *err) AG_MUST_USE;
ag_code ag_gguf_opt_f32(const ag_gguf *g, const char *key, float *out, ag_err *err) AG_MUST_USE;
ag_code ag_gguf_opt_bool(const ag_gguf *g, const char *key, bool *out, ag_err *err) AG_MUST_USE;
ag_code ag_gguf_opt_str(const ag_gguf *g, const char *key, ag_span *out, ag_err *err) AG_MUST_USE;

/* Walk a string array: start with *at = 0 and call n times; each call gives the next element. The
 * bounds were checked when the file was opened. */
ag_span ag_gguf_array_next_str(const ag_gguf_value *array, size_t *at);
/* Element i of an array of integers or floats, converted. i < n. */
int64_t ag_gguf_array_int(const ag_gguf_value *array, uint64_t i);
double ag_gguf_array_num(const ag_gguf_value *array, uint64_t i);

#endif
