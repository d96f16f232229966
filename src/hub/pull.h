/* Fetching a model from a hub that speaks Hugging Face's protocol, into a folder.
 *
 *   .../api/models/REPO/revision/REVISION      → the commit, so that all files are of one state
 *   .../api/models/REPO/tree/COMMIT            → files, sizes, digests; page by page
 *   .../REPO/resolve/COMMIT/PATH               → the bytes, mostly by a redirect to another host
 *
 * Each file goes to PATH.partial, is checked against its digest, synced and renamed: what stands
 * under its own name is whole. A later pull goes on with what an interrupted one left. Every reply
 * is hostile: names that would leave the folder are refused, sizes and digests must agree, the
 * token goes to the hub and never to where it redirects.
 *
 * Thread: one at a time; callbacks come on the caller's. */
#ifndef AG_HUB_PULL_H
#define AG_HUB_PULL_H

#include "hub/listing.h"

#define AG_HUB_ENDPOINT "https://huggingface.co"

typedef enum ag_hub_phase {
    AG_HUB_CHECKING, /* reading what is there already */
    AG_HUB_FETCHING,
} ag_hub_phase;

typedef struct ag_hub_opts {
    const char *endpoint; /* the hub or a mirror; NULL: AG_HUB_ENDPOINT */
    const char *token;    /* NULL: none */
    const char *ca_file;  /* PEM certificates to trust; NULL: the system's */
    int retries;          /* after failures in a row that may pass */
    /* Bytes of a phase; may be NULL. */
    void (*on_progress)(void *ctx, ag_hub_phase phase, uint64_t done, uint64_t total);
    /* Something worth a line: a file begins anew, a connection broke; may be NULL. */
    void (*on_note)(void *ctx, const char *line);
    /* Asked at least every 100 ms; true stops the pull and keeps what is there; may be NULL. */
    bool (*is_stopped)(void *ctx);
    void *ctx;
} ag_hub_opts;

typedef enum ag_hub_state {
    AG_HUB_WAS_THERE, /* complete and checked before */
    AG_HUB_RESUMED,
    AG_HUB_FETCHED,
} ag_hub_state;

typedef struct ag_hub_got {
    const char *path;   /* below the folder */
    const char *digest; /* hexadecimal; SHA-256, or git's SHA-1 of the blob */
    bool is_sha256;
    uint64_t bytes;
    ag_hub_state state;
} ag_hub_got;

typedef struct ag_hub_result {
    char commit[AG_HUB_SHA1_TEXT];
    int refused;       /* HTTP status that ended the pull; 0 */
    char *model;       /* owned: what to open, a file or the folder */
    ag_hub_got *files; /* owned [n]; their strings live in `listing` */
    size_t n;
    uint64_t bytes;   /* of all files; known once the files are chosen */
    uint64_t there;   /* of them on disk now, unfinished ones included; after a failure too */
    uint64_t fetched; /* bytes that came over the network */
    ag_hub_listing listing;
} ag_hub_result;

/* Fetch `spec` (revision "": main) into `folder`, which is made. *out is filled as far as it went,
 * also on failure, and given back with ag_hub_result_deinit().
 * AG_E_NOT_FOUND, AG_E_ARG (several files are meant; the folder is another repository's),
 * AG_E_AGAIN (the network, a busy hub, another pull of the same file), AG_E_IO (disk, certificate,
 * refused access), AG_E_FORMAT (replies that cannot be trusted, a digest that differs),
 * AG_E_UNSUPPORTED, AG_E_LIMIT, AG_E_CANCELLED, AG_E_NOMEM. */
ag_code ag_hub_pull(const ag_hub_spec *spec, const char *folder, const ag_hub_opts *opts,
                    ag_hub_result *out, ag_err *err) AG_MUST_USE;
void ag_hub_result_deinit(ag_hub_result *r);

#endif
