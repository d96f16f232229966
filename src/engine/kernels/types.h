/* The table of weight types, numbered as in GGUF files, and their plain decoders.
 *
 * Formats: docs/formats.md; each block struct with its byte map is in kernels/blocks.h. */
#ifndef AG_KERNELS_TYPES_H
#define AG_KERNELS_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(enum, GGUF number, name, elements in a block, bytes of a block, decoded by this build) */
#define AG_TYPE_MAP(X)                                                                             \
    X(F32, 0, "F32", 1, 4, 1)                                                                      \
    X(F16, 1, "F16", 1, 2, 1)                                                                      \
    X(Q4_0, 2, "Q4_0", 32, 18, 1)                                                                  \
    X(Q4_1, 3, "Q4_1", 32, 20, 1)                                                                  \
    X(Q5_0, 6, "Q5_0", 32, 22, 1)                                                                  \
    X(Q5_1, 7, "Q5_1", 32, 24, 1)                                                                  \
    X(Q8_0, 8, "Q8_0", 32, 34, 1)                                                                  \
    X(Q2_K, 10, "Q2_K", 256, 84, 1)                                                                \
    X(Q3_K, 11, "Q3_K", 256, 110, 1)                                                               \
    X(Q4_K, 12, "Q4_K", 256, 144, 1)                                                               \
    X(Q5_K, 13, "Q5_K", 256, 176, 1)                                                               \
    X(Q6_K, 14, "Q6_K", 256, 210, 1)                                                               \
    X(IQ4_NL, 20, "IQ4_NL", 32, 18, 1)                                                             \
    X(IQ4_XS, 23, "IQ4_XS", 256, 136, 1)                                                           \
    X(BF16, 30, "BF16", 1, 2, 1)                                                                   \
    X(MXFP4, 39, "MXFP4", 32, 17, 1)

typedef enum ag_type {
#define AG_TYPE_ENUM(id, number, name, block, bytes, decoded) AG_T_##id = number,
    AG_TYPE_MAP(AG_TYPE_ENUM)
#undef AG_TYPE_ENUM
} ag_type;
#define AG_T_LIMIT 40 /* every ag_type is below; tables are indexed by it */

typedef struct ag_type_info {
    const char *name; /* "Q4_K" */
    uint32_t block;   /* elements in a block */
    uint32_t bytes;   /* bytes of a block */
    bool decoded;     /* this build can compute with it */
} ag_type_info;

/* The row of a GGUF type number, or NULL when the number is unknown. Any thread. */
const ag_type_info *ag_type_find(uint32_t number);
/* By name, any case ("q4_k", "bf16"); -1 when unknown. */
int ag_type_by_name(const char *name);
/* "F32, F16, Q4_0, ...": the types this build computes with, for error messages. */
const char *ag_type_supported(void);
/* Bytes of n elements; n must be a multiple of the block. */
size_t ag_type_bytes(ag_type type, size_t n);
/* Decode n elements (a multiple of the block) to float32, bit-equal to the reference formulas:
 * rounding happens where the reference rounds. Defined for every `decoded` type. */
void ag_type_decode(ag_type type, const void *src, float *dst, size_t n);
/* Has this build an encoder for the type? Every decoded type has one. */
bool ag_type_encodes(ag_type type);
/* Encode n float32 (a multiple of the block) into ag_type_bytes(type, n) bytes. Floats round to
 * nearest; Q8_0, Q4_0, Q4_1, Q5_0 and Q5_1 are bit-equal to the reference quantisers; the other
 * types search for scales with a small squared error. The result is the same on every machine. A
 * block that holds a value which is not finite decodes to values that are not finite. Any thread;
 * allocates nothing. */
void ag_type_encode(ag_type type, const float *src, void *dst, size_t n);
/* The same for [rows, cols], with the squared errors of column c weighted by weights[c], such as
 * the mean square of the activations it meets: every block type then searches. Weights that are not
 * positive count as 0. NULL: as ag_type_encode. */
void ag_type_encode_weighted(ag_type type, const float *src, const float *weights /* [cols] */,
                             void *dst, size_t rows, size_t cols);

#endif
