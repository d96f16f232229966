/* What a hub says about a repository: its files with sizes and digests, its commit, and the headers
 * that matter. Every byte is hostile. Thread: one at a time. */
#ifndef AG_HUB_LISTING_H
#define AG_HUB_LISTING_H

#include "base/arena.h"
#include "base/sha256.h"
#include "hub/spec.h"

#define AG_HUB_SHA1_TEXT 41
#define AG_HUB_MAX_QUERY 4096u

typedef struct ag_hub_file {
    const char *path; /* passes ag_hub_is_path(); in the listing's arena */
    uint64_t bytes;
    char sha256[AG_SHA256_TEXT]; /* "": a file kept in git itself, known by blob only */
    char blob[AG_HUB_SHA1_TEXT]; /* git's name of its content; "" where sha256 is known */
} ag_hub_file;

typedef struct ag_hub_listing {
    ag_arena arena;
    ag_hub_file *files; /* owned; by path once finished */
    size_t n, room;
} ag_hub_listing;

void ag_hub_listing_init(ag_hub_listing *l);
void ag_hub_listing_deinit(ag_hub_listing *l);
/* Add a page: the JSON array that .../tree/REVISION answers. AG_E_FORMAT (which entry and why),
 * AG_E_LIMIT (too many files), AG_E_NOMEM. */
ag_code ag_hub_listing_add(ag_hub_listing *l, ag_span json, ag_err *err) AG_MUST_USE;
/* Order by path. AG_E_FORMAT when a path occurs twice. */
ag_code ag_hub_listing_finish(ag_hub_listing *l, ag_err *err) AG_MUST_USE;
/* By exact path; NULL when it is not there. The listing is finished. */
const ag_hub_file *ag_hub_listing_find(const ag_hub_listing *l, ag_span path);

/* The commit in what .../revision/REVISION answers. AG_E_FORMAT, AG_E_NOMEM. */
ag_code ag_hub_read_commit(ag_span json, char commit[AG_HUB_SHA1_TEXT], ag_err *err) AG_MUST_USE;
/* A Link header's address of the next page: its query, without the question mark, into `query`.
 * Only that much is taken, so that a listing stays with the host that was asked. False when there
 * is no next page. */
bool ag_hub_next_page(const char *link, char query[AG_HUB_MAX_QUERY + 1]);
/* The SHA-256 that an ETag of a large file is; false when it is something else. */
bool ag_hub_etag_sha256(const char *etag, char sha256[AG_SHA256_TEXT]);
/* May it stand in If-Range: quoted, not weak, printable, of at most 200 bytes? */
bool ag_hub_etag_is_strong(const char *etag);
/* "bytes FROM-TO/TOTAL": does it begin at `from` and end with the last of `total` bytes? */
bool ag_hub_range_is(const char *content_range, uint64_t from, uint64_t total);

#endif
