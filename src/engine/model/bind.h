/* Private to model/: what binding decided and loading fills. */
#ifndef AG_MODEL_BIND_H
#define AG_MODEL_BIND_H

#include "model/model.h"

typedef struct ag_plan_matrix {
    ag_matrix *field;   /* to receive its panels */
    const ag_tensor *t; /* where the rows come from */
    uint64_t row0;      /* the first of them */
    bool turned;        /* they are the matrix's columns */
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

/* ---- the steps of binding (bind_tensors.c) -------------------------------------------------- */

typedef struct ag_binder {
    const ag_source *src;
    const ag_model_opts *opts;
    ag_model *m;
    ag_binding *plan;
    ag_type *types; /* of the source's tensors when quantising; else NULL */
    ag_err *err;
    ag_code code; /* the first failure sticks; later steps do nothing */
    char name[128];
} ag_binder;

/* The tensor blk.LAYER.WHAT.SUFFIX, or WHAT.SUFFIX when layer is negative; NULL when absent. */
const ag_tensor *ag_bind_find(ag_binder *b, int layer, const char *what, const char *suffix);
/* Note AG_E_FORMAT: the tensor is not there, or not [cols, rows] ([cols] when rows is 0). */
void ag_bind_missing(ag_binder *b, int layer, const char *what, const char *suffix);
void ag_bind_wrong_shape(ag_binder *b, const ag_tensor *t, uint64_t cols, uint64_t rows);
/* Can this build compute with its type? Else AG_E_UNSUPPORTED is noted. */
bool ag_bind_decodable(ag_binder *b, const ag_tensor *t);
/* Norm or bias of n elements, starting at element `from` of a tensor of `total`. */
void ag_bind_vector(ag_binder *b, const ag_tensor *t, uint64_t total, uint64_t from, int n,
                    const float **field);
/* The vector WHAT.weight [n], which must be there / may be absent (as may its name). */
void ag_bind_norm(ag_binder *b, int layer, const char *what, int n, const float **field);
void ag_bind_opt_norm(ag_binder *b, int layer, const char *what, int n, const float **field);
/* Rows [row0, row0 + rows) of a tensor of total_rows × cols become one packed matrix. */
void ag_bind_rows(ag_binder *b, const ag_tensor *t, uint64_t total_rows, uint64_t row0, int rows,
                  int cols, ag_matrix *field);
/* Rows [row0, row0 + rows) of each of n slices of a tensor [cols, total_rows, n] become a packed
 * matrix each: experts, or heads. */
void ag_bind_slices(ag_binder *b, const ag_tensor *t, int n, int total_rows, int row0, int rows,
                    int cols, ag_matrix *fields);
/* Rows [row0, row0 + n) of a tensor of total_rows × cols become the columns of a packed matrix of
 * cols × n. Blocks of a quantised type run along the other way, so it becomes F16 then. */
void ag_bind_turned(ag_binder *b, const ag_tensor *t, uint64_t total_rows, uint64_t row0, int n,
                    int cols, ag_matrix *field);
/* A whole tensor, computed with in float32 whatever the file's type or the wish: choosing among
 * experts is not to be rounded. */
void ag_bind_router(ag_binder *b, int layer, const char *what, int rows, int cols,
                    ag_matrix *field);
/* A whole tensor with its bias, if the file has one. */
void ag_bind_matrix(ag_binder *b, int layer, const char *what, int rows, int cols,
                    ag_matrix *field);
/* A tensor of rows of `cols` that is read while running; rows: how many, 0: any number. */
void ag_bind_table(ag_binder *b, const ag_tensor *t, int rows, int cols, const ag_tensor **field);
/* Everything of an encoder but its token embedding (bind_bert.c). */
void ag_bind_bert(ag_binder *b);
/* Several matrices stacked in one tensor, with their biases. */
void ag_bind_stack(ag_binder *b, int layer, const char *what, int cols, int n,
                   ag_matrix *const fields[], const int rows[]);

/* q, k, v (in one tensor or three) and the output of plain attention. */
void ag_bind_attention(ag_binder *b, int layer, ag_layer *l);

/* The parts of a layer that have files of their own: experts (bind_moe.c), latent attention
 * (bind_mla.c). */
void ag_bind_moe(ag_binder *b, int layer, ag_layer *l);
void ag_bind_mla(ag_binder *b, int layer, ag_layer *l);

#endif
