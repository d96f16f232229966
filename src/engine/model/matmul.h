/* Private to model/: several matrices times the same rows as one operation of the pool. */
#ifndef AG_MODEL_MATMUL_H
#define AG_MODEL_MATMUL_H

#include "model/forward.h"

#define AG_GROUP_MAX 3

typedef struct ag_matmul_item {
    const ag_matrix *w;
    float *out;        /* row t at out + t * out_stride */
    size_t out_stride; /* floats */
} ag_matmul_item;

typedef struct ag_matmul_group {
    ag_matmul_item item[AG_GROUP_MAX];
    int n;             /* items */
    const float *x;    /* rows as float32, for matrices that want it */
    size_t x_stride;   /* floats */
    const uint8_t *x8; /* rows quantised, for the others */
    size_t x8_stride;  /* bytes */
    int n_rows;
    /* Filled by ag_matmul_run: */
    int chunk_panels[AG_GROUP_MAX]; /* panels in a chunk of item i */
    int first_chunk[AG_GROUP_MAX + 1];
} ag_matmul_group;

void ag_matmul_run(ag_pool *pool, ag_matmul_group *g);

#endif
