/* Private to model/: what binding decided and loading fills. */
#ifndef AG_MODEL_BIND_H
#define AG_MODEL_BIND_H

#include "model/model.h"

typedef struct ag_plan_matrix {
    ag_matrix *field;   /* to receive its panels */
    const ag_tensor *t; /* where the rows come from */
    uint64_t row0;      /* the first of them */
    ag_type as;         /* the type they are packed as */
    size_t at;          /* offset of the panels in the weight memory */
} ag_plan_matrix;

typedef struct ag_plan_vector {
    const float **field;
    const ag_tensor *t;
    uint64_t from; /* first element */
    int n;
    size_t at; /* floats from the start of the vector memory */
} ag_plan_vector;

struct ag_binding {
    ag_plan_matrix *matrices; /* owned; in the order a forward pass reads them, ends first */
    size_t n_matrices, matrices_room;
    ag_plan_vector *vectors; /* owned */
    size_t n_vectors, vectors_room;
    size_t weight_bytes; /* of all panels */
    size_t n_floats;     /* of all vectors */
};

#endif
