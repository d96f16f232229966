/* Importances of columns: for each matrix of a model, how large the numbers are that its columns
 * meet, measured on a text. Encoders weigh their errors with them.
 *
 * Files are GGUF as the field's tools write and read them: for a tensor NAME, NAME.in_sum2 [cols,
 * slices] holds the sums of squared inputs and NAME.counts [1, slices] how many rows they are of;
 * slices are experts, 1 elsewhere. Thread: one at a time. */
#ifndef AG_LOAD_IMATRIX_H
#define AG_LOAD_IMATRIX_H

#include "base/arena.h"
#include "base/map.h"
#include "load/source.h"

typedef struct ag_imatrix_entry {
    ag_span name; /* of the tensor */
    size_t cols, slices;
    double *squares; /* [slices, cols] sums of squares */
    double *counts;  /* [slices] rows */
} ag_imatrix_entry;

typedef struct ag_imatrix {
    ag_imatrix_entry *entries; /* owned */
    size_t n, room;
    ag_map index;               /* name → place in entries */
    ag_arena memory;            /* names and numbers */
    uint32_t n_windows, window; /* of text that they were measured on; tokens of one */
} ag_imatrix;

ag_code ag_imatrix_new(ag_imatrix **out, ag_err *err) AG_MUST_USE;
void ag_imatrix_free(ag_imatrix **im);
/* A new entry of zeros; the pointer to it is good until the next call. AG_E_FORMAT (it is there
 * already), AG_E_LIMIT, AG_E_NOMEM. */
ag_code ag_imatrix_add(ag_imatrix *im, ag_span name, size_t cols, size_t slices,
                       ag_imatrix_entry **out, ag_err *err) AG_MUST_USE;
/* NULL when absent. */
const ag_imatrix_entry *ag_imatrix_find(const ag_imatrix *im, ag_span name);

/* Read a file. AG_E_NOT_FOUND, AG_E_IO, AG_E_FORMAT (not such a file, or one without its other
 * half, or numbers that cannot be), AG_E_NOMEM. */
ag_code ag_imatrix_read(const char *path, ag_imatrix **out, ag_err *err) AG_MUST_USE;
/* Write a file, whole or not at all; `text` names what it was measured on. AG_E_IO, AG_E_NOMEM. */
ag_code ag_imatrix_write(const ag_imatrix *im, const char *path, ag_span text,
                         ag_err *err) AG_MUST_USE;

/* Mean squares of the columns of a tensor's slice to weights[cols], all 1 where nothing was
 * measured. False, and nothing written, when there is no entry that fits the tensor. */
bool ag_imatrix_weights(const ag_imatrix *im, const ag_tensor *t, uint64_t slice, float *weights);

#endif
