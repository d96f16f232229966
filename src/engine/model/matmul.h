/* Private to model/: matrices times rows, each matrix with rows of its own, as one operation of the
 * pool. */
#ifndef AG_MODEL_MATMUL_H
#define AG_MODEL_MATMUL_H

#include "model/forward.h"

typedef struct ag_matmul_job {
    const ag_matrix *w;
    const float *x;     /* [n_rows] rows as float32, if the matrix wants that */
    size_t x_stride;    /* floats */
    const uint8_t *x8;  /* [n_rows] rows quantised, if it wants that */
    size_t x8_stride;   /* bytes */
    const uint8_t *x16; /* [n_rows] rows rounded, if it wants that */
    size_t x16_stride;  /* bytes */
    int n_rows;         /* 1 or more */
    float *out;         /* row t at out + t * out_stride */
    size_t out_stride;  /* floats */
    /* Filled by ag_matmul_run: */
    int chunk_panels; /* panels in a chunk */
    int first_chunk;  /* of the operation */
} ag_matmul_job;

/* Run n jobs. */
void ag_matmul_run(ag_pool *pool, ag_matmul_job *jobs, int n);

#endif
