/* Private to load/: a quantised weight of a checkpoint and how its values are computed. The layouts
 * are those of the published packing code of each method; docs/formats.md draws them. */
#ifndef AG_LOAD_HF_QUANT_H
#define AG_LOAD_HF_QUANT_H

#include "load/hf_parts.h"

typedef enum ag_hf_layout {
    AG_LAY_GPTQ,   /* words [in/per, out]: elements of a word follow each other along in */
    AG_LAY_AWQ,    /* words [in, out/8]: elements of a word are interleaved along out */
    AG_LAY_PACKED, /* words [out, in/per], zeros packed along out */
    AG_LAY_INT8,   /* i8 [out, in] */
    AG_LAY_FP8,    /* e4m3 [out, in] */
} ag_hf_layout;

typedef struct ag_hf_part {
    const uint8_t *data; /* NULL: the weight has no such part */
    ag_st_type type;
    int file;
    uint64_t at;
    size_t bytes;
} ag_hf_part;

#define AG_HF_PARTS 4

/* W[o, i] = scale * (q - zero), q and zero unsigned codes; FP8: scale * value. */
typedef struct ag_hf_quantised {
    ag_hf_layout layout;
    int bits, per;            /* of a code; codes in a word */
    uint64_t rows, cols;      /* out, in */
    uint64_t group, n_groups; /* columns that share a scale; groups in a row */
    uint64_t block_rows;      /* rows that share a scale (not GPTQ, AWQ, where it is one) */
    int middle;               /* the zero of a weight without zeros: 8, 128, 0 */
    int zero_add;             /* GPTQ v1 stores zeros minus one */
    bool centred;             /* all zeros are the middle */
    bool ordered;             /* group of a column is column / group */
    union {
        struct {
            ag_hf_part codes, scale, zero, index;
        };
        ag_hf_part part[AG_HF_PARTS];
    };
} ag_hf_quantised;

/* hf_quant_read.c: the view of a quantised weight. */
extern const ag_view ag_hf_quant_view;
/* The type it is read as besides F32, and whether its blocks hold the codes as they are. */
ag_type ag_hf_quant_keep(const ag_hf_quantised *q);
/* Zero of group g, row o. */
int ag_hf_quant_zero(const ag_hf_quantised *q, uint64_t g, uint64_t o);

#endif
