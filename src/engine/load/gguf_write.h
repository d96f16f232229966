/* Writing a source as a GGUF file, version 3: whatever a model came from, and in whatever types,
 * the result is one file that any reader of the format opens.
 *
 * Tensors stream through a few MiB of memory, the ends of the model first and then layer by layer,
 * and every tensor is re-encoded on all threads. The file appears whole under its name or not at
 * all, and an interrupted run is gone on with (load/partial.h). The bytes written depend neither on
 * the number of threads nor on interruptions. Format: docs/formats.md. */
#ifndef AG_LOAD_GGUF_WRITE_H
#define AG_LOAD_GGUF_WRITE_H

#include "load/imatrix.h"
#include "load/source.h"
#include "par/pool.h"

typedef struct ag_gguf_write_opts {
    const ag_type *types;      /* [n_tensors] in the source's order; NULL: each as it is */
    const ag_imatrix *imatrix; /* importances that encoders weigh errors with; NULL: none */
    const ag_source_key *set;  /* [n_set] keys that replace the source's or are added */
    size_t n_set;
    bool restart; /* do not go on with what an earlier run left */
    /* Called now and then with bytes done and in all; false gives up. May be NULL. */
    bool (*on_progress)(void *ctx, uint64_t done, uint64_t total);
    void *progress_ctx;
} ag_gguf_write_opts;

typedef struct ag_gguf_written {
    uint64_t bytes;    /* of the file */
    size_t n_tensors;  /* in it */
    size_t n_resumed;  /* of them, left by an earlier run */
    size_t n_weighted; /* of them, encoded by importances */
} ag_gguf_written;

/* Write `src` to `path`, replacing a file of that name. `done` may be NULL.
 * AG_E_UNSUPPORTED (a type that this build cannot decode or encode; which tensor), AG_E_ARG (`path`
 * is one of the source's own files), AG_E_AGAIN (another process is at it), AG_E_IO, AG_E_NOMEM,
 * AG_E_CANCELLED. */
ag_code ag_gguf_write(const ag_source *src, const char *path, const ag_gguf_write_opts *opts,
                      ag_pool *pool, ag_gguf_written *done, ag_err *err) AG_MUST_USE;

#endif
