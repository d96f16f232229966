/* SHA-256, of bytes as they come and of whole files, over nettle. Thread: one at a time. */
#ifndef AG_BASE_SHA256_H
#define AG_BASE_SHA256_H

#include <nettle/sha2.h>

#include "base/error.h"
#include "base/span.h"

#define AG_SHA256_BYTES 32
#define AG_SHA256_TEXT  65 /* lower-case hex and its end */

typedef struct ag_sha256 {
    struct sha256_ctx state;
} ag_sha256;

void ag_sha256_init(ag_sha256 *s);
void ag_sha256_add(ag_sha256 *s, ag_span bytes);
/* The digest of all that was added, as lower-case hex. Then *s is as after ag_sha256_init(). */
void ag_sha256_end(ag_sha256 *s, char text[AG_SHA256_TEXT]);
/* Is s 64 digits of lower-case hex? */
bool ag_sha256_is_text(ag_span s);

/* How far hashing of one or several files has come. */
typedef struct ag_sha256_watch {
    bool (*tell)(void *ctx, uint64_t done, uint64_t total); /* false: give up; may be NULL */
    void *ctx;
    uint64_t done, total; /* bytes; done grows with every file */
} ag_sha256_watch;

/* Hash what a regular file holds; *bytes (may be NULL) gets how many that were. watch may be NULL.
 * AG_E_NOT_FOUND, AG_E_IO (a directory, a failed read), AG_E_NOMEM, AG_E_CANCELLED. */
ag_code ag_sha256_file(const char *path, ag_sha256_watch *watch, char text[AG_SHA256_TEXT],
                       uint64_t *bytes, ag_err *err) AG_MUST_USE;

#endif
