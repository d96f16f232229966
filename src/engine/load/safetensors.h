/* Safetensors files: a JSON header that places each tensor, then their bytes.
 *
 *     u64 length of the header | {"name": {"dtype", "shape", "data_offsets": [begin, end]}, ...} |
 *     data, counted from the end of the header, little-endian, rows one after the other
 *
 * Source: the format's description in the README of github.com/huggingface/safetensors. What a
 * table holds was checked: inside its file, size = shape × item, no two tensors overlap, no name
 * twice, in one file or between shards. */
#ifndef AG_LOAD_SAFETENSORS_H
#define AG_LOAD_SAFETENSORS_H

#include "base/arena.h"
#include "base/limits.h"
#include "base/map.h"

/* X(enum, name in files, bytes of an element) */
#define AG_ST_TYPE_MAP(X)                                                                          \
    X(F32, "F32", 4)                                                                               \
    X(F16, "F16", 2)                                                                               \
    X(BF16, "BF16", 2)                                                                             \
    X(F8_E4M3, "F8_E4M3", 1)                                                                       \
    X(I8, "I8", 1)                                                                                 \
    X(U8, "U8", 1)                                                                                 \
    X(I32, "I32", 4)                                                                               \
    X(I64, "I64", 8)                                                                               \
    X(BOOL, "BOOL", 1)                                                                             \
    X(F64, "F64", 8)

typedef enum ag_st_type {
#define AG_ST_ENUM(id, name, bytes) AG_ST_##id,
    AG_ST_TYPE_MAP(AG_ST_ENUM)
#undef AG_ST_ENUM
        AG_ST_TYPES
} ag_st_type;

typedef struct ag_st_tensor {
    ag_span name; /* lives in the table's arena, terminated */
    ag_st_type type;
    int n_dims;                   /* 0 (a single number) to AG_MAX_ST_DIMS */
    uint64_t dim[AG_MAX_ST_DIMS]; /* outermost first, as in the file; unused ones are 1 */
    int file;                     /* number given to ag_st_parse() */
    uint64_t at;                  /* byte offset in the file */
    size_t bytes;
    const uint8_t *data; /* in the file's mapping; no alignment is promised */
    bool used;           /* for whoever takes the tensors: starts false */
} ag_st_tensor;

typedef struct ag_st_table {
    ag_arena *arena;       /* borrowed: names */
    ag_st_tensor *tensors; /* owned; file by file, in header order */
    size_t n, room;
    ag_map index; /* name → number in tensors */
} ag_st_table;

/* An empty table; names are put into `arena`, which outlives it. AG_E_NOMEM. */
ag_code ag_st_init(ag_st_table *t, ag_arena *arena, ag_err *err) AG_MUST_USE;
void ag_st_deinit(ag_st_table *t);
/* Add all tensors of a file, given as its whole bytes, which must stay. `path` stands in messages.
 * On error the table may hold some of them. AG_E_FORMAT, AG_E_UNSUPPORTED (dtype), AG_E_NOMEM. */
ag_code ag_st_parse(ag_st_table *t, ag_span bytes, int file, const char *path,
                    ag_err *err) AG_MUST_USE;
/* NULL when absent. */
ag_st_tensor *ag_st_find(const ag_st_table *t, ag_span name);
/* "F8_E4M3"; bytes of an element. */
const char *ag_st_type_name(ag_st_type type);
size_t ag_st_type_bytes(ag_st_type type);

#endif
