/* Names of models: what a registry says a name means.
 *
 * A registry is a small file in which an operator gives names to models ('autoglm models', and
 * docs/models.md). The library looks only into the file that it is given. */
#ifndef AUTOGLM_MODELS_H
#define AUTOGLM_MODELS_H

#include <stdbool.h>
#include <stdint.h>

#include "autoglm/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ag_model_ref {
    const char *path;         /* of a file or folder; absolute when found by name */
    const char *name;         /* in the registry; NULL: a path was given, and the rest is empty */
    const char *digest;       /* SHA-256 in hex of the files when they were registered; maybe "" */
    const char *architecture; /* "glm4"; "" when not known */
    int64_t added;            /* seconds since 1970 */
    bool changed; /* the files have another size or time since: the digest may not be theirs */
} ag_model_ref;

/* Find the model that `model` means: a path that exists is itself; else a name in the registry,
 * whose path must exist. `registry` is the registry's file; NULL: names are not looked up. On
 * success *out is freed with ag_model_ref_free(). Any thread. AG_E_NOT_FOUND (neither; the message
 * says what was tried and lists near names), AG_E_IO, AG_E_FORMAT and AG_E_UNSUPPORTED (of the
 * registry), AG_E_AGAIN (it is locked), AG_E_NOMEM. */
AG_API ag_code ag_model_resolve(const char *model, const char *registry, ag_model_ref **out,
                                ag_err *err) AG_MUST_USE;
/* Sets *ref to NULL; accepts NULL. */
AG_API void ag_model_ref_free(ag_model_ref **ref);

#ifdef __cplusplus
}
#endif
#endif
