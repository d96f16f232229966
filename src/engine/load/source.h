/* A model as keys and tensors, whatever files it comes from.
 *
 * GGUF files are read as they are; a Hugging Face folder is presented in the same terms: GGUF's key
 * names, GGUF's tensor names, GGUF's row orders. So everything above this room knows one vocabulary
 * of models only, and converting a folder to a GGUF file is writing a source out.
 *
 * All content is hostile and was checked when the source was opened. Constant afterwards: any
 * thread may read it. Spans and data live until ag_source_close(). */
#ifndef AG_LOAD_SOURCE_H
#define AG_LOAD_SOURCE_H

#include "base/file.h"
#include "base/span.h"
#include "kernels/types.h"

struct ag_sha256;

typedef enum ag_value_kind { /* GGUF's numbers */
                             AG_VALUE_U8 = 0,
                             AG_VALUE_I8 = 1,
                             AG_VALUE_U16 = 2,
                             AG_VALUE_I16 = 3,
                             AG_VALUE_U32 = 4,
                             AG_VALUE_I32 = 5,
                             AG_VALUE_F32 = 6,
                             AG_VALUE_BOOL = 7,
                             AG_VALUE_STRING = 8,
                             AG_VALUE_ARRAY = 9,
                             AG_VALUE_U64 = 10,
                             AG_VALUE_I64 = 11,
                             AG_VALUE_F64 = 12,
} ag_value_kind;

typedef struct ag_value {
    ag_value_kind kind;
    union {
        uint64_t u; /* U8..U64, BOOL (0 or 1) */
        int64_t i;  /* I8..I64 */
        double f;   /* F32, F64 */
        ag_span s;  /* STRING: bytes, maybe not UTF-8 */
        struct {
            ag_value_kind kind; /* of the elements; never ARRAY */
            uint64_t n;         /* elements */
            ag_span bytes;      /* in GGUF's encoding, bounds already checked */
        } a;                    /* ARRAY */
    };
} ag_value;

typedef struct ag_source_key {
    ag_span name;
    ag_value value;
} ag_source_key;

typedef struct ag_tensor ag_tensor;

/* How the rows of a tensor are made that do not lie in a file as they are wanted: permuted, spread
 * over several tensors, or in a format of their own. */
typedef struct ag_view {
    /* Write rows [row, row + n) to dst in the file format of `as`, which is the tensor's type or
     * its `keep`. Any thread; allocates nothing. */
    void (*read)(const ag_tensor *t, uint64_t row, size_t n, ag_type as, void *dst);
    /* Which stretches of files the tensor is made of: piece i, false past the last. */
    bool (*piece)(const ag_tensor *t, size_t i, int *file, uint64_t *at, size_t *bytes);
} ag_view;

struct ag_tensor {
    ag_span name;
    ag_type type;    /* a known type; maybe one this build does not decode */
    ag_type keep;    /* nearest native type of values that `type` holds in full; usually `type` */
    int n_dims;      /* 1..4 */
    uint64_t dim[4]; /* innermost first; unused ones are 1 */
    const uint8_t *data; /* rows in `type`, one after the other; NULL when there is a view */
    size_t bytes;        /* of all rows in `type` */
    uint64_t file_at;    /* byte offset of data in its file */
    int file;            /* which file; its path is ag_source_file_path() */
    const ag_view *view; /* NULL: rows lie at data */
    const void *state;   /* of the view */
};

typedef struct ag_source ag_source;

/* Open whatever `path` names: a GGUF file (of a split set, any part) or a Hugging Face folder.
 * AG_E_NOT_FOUND, AG_E_IO, AG_E_FORMAT (message gives file and place), AG_E_UNSUPPORTED,
 * AG_E_LIMIT, AG_E_NOMEM. */
ag_code ag_source_open(const char *path, ag_source **out, ag_err *err) AG_MUST_USE;
void ag_source_close(ag_source **s);

const char *ag_source_path(const ag_source *s);    /* as opened; "" when from memory */
const char *ag_source_format(const ag_source *s);  /* "GGUF 3", "Hugging Face folder" */
uint64_t ag_source_file_bytes(const ag_source *s); /* all weight files together */
/* The file that a tensor lies in; "" when from memory. */
const char *ag_source_file_path(const ag_source *s, const ag_tensor *t);

/* Add what tells these files from any others, and from themselves when they are changed: device,
 * inode, size and times of each. False when they are not known: from memory. */
bool ag_source_identify(const ag_source *s, struct ag_sha256 *to);

size_t ag_source_n_keys(const ag_source *s);
const ag_source_key *ag_source_key_at(const ag_source *s, size_t i);
size_t ag_source_n_tensors(const ag_source *s);
const ag_tensor *ag_source_tensor_at(const ag_source *s, size_t i);

/* NULL when absent. */
const ag_value *ag_source_find(const ag_source *s, const char *key);
const ag_tensor *ag_source_find_tensor(const ag_source *s, const char *name);

/* Rows of a tensor as a matrix: every dimension but the innermost. */
static inline uint64_t ag_tensor_rows(const ag_tensor *t) {
    return t->dim[1] * t->dim[2] * t->dim[3];
}
/* Rows [row, row + n) in the file format of `as` (the tensor's type or its keep): where they lie,
 * or else written to `room`, which holds them. Any thread. */
const void *ag_tensor_read(const ag_tensor *t, uint64_t row, size_t n, ag_type as, void *room);

/* Tell the system that a tensor's bytes will be read soon / row by row, here and there / need not
 * stay in memory. */
void ag_source_want(const ag_source *s, const ag_tensor *t);
void ag_source_scatter(const ag_source *s, const ag_tensor *t);
void ag_source_drop(const ag_source *s, const ag_tensor *t);

/* Typed look-ups: AG_E_NOT_FOUND when absent, AG_E_FORMAT when of another kind or out of range
 * ("llama.block_count: expected an unsigned integer up to 4294967295, found a string"). Integers of
 * any width convert. */
ag_code ag_source_get_u32(const ag_source *s, const char *key, uint32_t *out,
                          ag_err *err) AG_MUST_USE;
ag_code ag_source_get_f32(const ag_source *s, const char *key, float *out, ag_err *err) AG_MUST_USE;
ag_code ag_source_get_bool(const ag_source *s, const char *key, bool *out, ag_err *err) AG_MUST_USE;
ag_code ag_source_get_str(const ag_source *s, const char *key, ag_span *out,
                          ag_err *err) AG_MUST_USE;
/* The same, but an absent key leaves *out as it is and is no error. */
ag_code ag_source_opt_u32(const ag_source *s, const char *key, uint32_t *out,
                          ag_err *err) AG_MUST_USE;
ag_code ag_source_opt_f32(const ag_source *s, const char *key, float *out, ag_err *err) AG_MUST_USE;
ag_code ag_source_opt_bool(const ag_source *s, const char *key, bool *out, ag_err *err) AG_MUST_USE;
ag_code ag_source_opt_str(const ag_source *s, const char *key, ag_span *out,
                          ag_err *err) AG_MUST_USE;

/* Walk a string array: start with *at = 0 and call n times; each call gives the next element. The
 * bounds were checked when the source was opened. */
ag_span ag_value_next_str(const ag_value *array, size_t *at);
/* Element i of an array of integers or floats, converted. i < n. */
int64_t ag_value_int(const ag_value *array, uint64_t i);
double ag_value_num(const ag_value *array, uint64_t i);

#endif
