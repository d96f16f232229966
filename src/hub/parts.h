/* What the files of this room share. */
#ifndef AG_HUB_PARTS_H
#define AG_HUB_PARTS_H

#include <nettle/sha1.h>

#include "hub/choose.h"
#include "hub/pull.h"
#include "net/net.h"

/* A pull in progress. */
typedef struct ag_hub {
    const ag_hub_opts *opts;
    const char *repo, *revision; /* borrowed from the spec */
    const char *folder;
    char *endpoint; /* owned, without a slash at its end */
    char *bearer;   /* owned; NULL: no token */
    ag_net *net;
    ag_hub_result *out;
    uint64_t done, total; /* of the phase */
} ag_hub;

/* ---- client.c: requests ---------------------------------------------------------------------- */

ag_code ag_hub_open(ag_hub *h, ag_err *err) AG_MUST_USE;
void ag_hub_close(ag_hub *h);
/* The commit that the revision means, and all files of it. */
ag_code ag_hub_read_repo(ag_hub *h, ag_err *err) AG_MUST_USE;
/* The address of a file's bytes; owned by the caller. NULL: out of memory. */
char *ag_hub_file_url(const ag_hub *h, const char *path);
/* The error that an answer's status is; `what` is a path, or NULL for the repository. */
ag_code ag_hub_refused(const ag_hub *h, const char *what, const ag_net_reply *reply, ag_err *err);
/* The headers of an answer that are always wanted, by place in ag_net_reply.value. */
enum {
    AG_HUB_H_CODE,
    AG_HUB_H_MESSAGE,
    AG_HUB_H_LINK,
    AG_HUB_H_ETAG,
    AG_HUB_H_RANGE,
    AG_HUB_H_LINKED_ETAG,
    AG_HUB_H_LINKED_SIZE
};
extern const char *const ag_hub_headers[];

/* ---- disk.c: files and folders --------------------------------------------------------------- */

/* "FOLDER/PATHsuffix", owned by the caller. NULL: out of memory. */
char *ag_hub_join(const char *folder, const char *path, const char *suffix);
/* Make the folder and those above it. */
ag_code ag_hub_make_folder(const char *folder, ag_err *err) AG_MUST_USE;
/* Bytes free for us where `folder` is; UINT64_MAX when unknown. */
uint64_t ag_hub_free_bytes(const char *folder);
/* A failed call of the system (errno) on a file; a full disk says so. */
ag_code ag_hub_fail_errno(const char *path, const char *verb, ag_err *err);
/* Whose files are in the folder: `repo` becomes "" when nothing says so. */
ag_code ag_hub_read_record(const char *folder, char *repo, size_t room, ag_err *err) AG_MUST_USE;
ag_code ag_hub_write_record(const ag_hub *h, ag_err *err) AG_MUST_USE;

/* ---- digest.c: what a file's bytes are checked against --------------------------------------- */

typedef struct ag_hub_digest {
    bool is_sha256;
    ag_sha256 sha256;
    struct sha1_ctx sha1; /* of "blob SIZE" and the bytes: git's name of a file's content */
} ag_hub_digest;

void ag_hub_digest_init(ag_hub_digest *d, const ag_hub_file *f);
void ag_hub_digest_add(ag_hub_digest *d, ag_span bytes);
/* Ends it; lower-case hexadecimal. */
void ag_hub_digest_end(ag_hub_digest *d, char text[AG_SHA256_TEXT]);
const char *ag_hub_digest_wanted(const ag_hub_file *f);
/* Add the first n bytes of a file, counting them into h->done. AG_E_IO, AG_E_CANCELLED, AG_E_NOMEM.
 */
ag_code ag_hub_digest_read(ag_hub *h, ag_hub_digest *d, int fd, const char *path, uint64_t n,
                           ag_err *err) AG_MUST_USE;
/* Is what stands under this path this file? An absent file is not. */
ag_code ag_hub_is_there(ag_hub *h, const ag_hub_file *f, const char *path, bool *yes,
                        ag_err *err) AG_MUST_USE;

/* ---- fetch.c: one file ----------------------------------------------------------------------- */

/* Bytes of an unfinished file that a fetch would go on from. */
uint64_t ag_hub_unfinished(const ag_hub *h, const ag_hub_file *f);
/* Fetch it, check it, give it its name. */
ag_code ag_hub_fetch(ag_hub *h, const ag_hub_file *f, ag_hub_state *state, ag_err *err) AG_MUST_USE;

/* ---- all ------------------------------------------------------------------------------------- */

void ag_hub_tell(const ag_hub *h, ag_hub_phase phase);
void ag_hub_note(const ag_hub *h, const char *fmt, ...) AG_PRINTF(2, 3);
static inline bool ag_hub_is_stopped(const ag_hub *h) {
    return h->opts->is_stopped && h->opts->is_stopped(h->opts->ctx);
}

#endif
