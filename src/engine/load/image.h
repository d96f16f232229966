/* Images: large contents that took long to make, kept in a folder as files that are mapped by the
 * next start and shared by all processes that have one open.
 *
 * An image is found by its key, the digest of all that its contents were made from, so one that
 * does not fit is never found; old ones go when the folder gets too large, the longest unused
 * first. What is found is not believed: owner, length, key and a sum of the contents are checked.
 * The folder is a cache: anything in it may be removed at any time.
 *
 *   file  KEY.image
 *   head  4096 bytes: "AGIMAGE2", key (64 hex digits), bytes u64, sum u64, check u64, zeros;
 *         check is a hash of all before it
 *   then  the contents
 *
 * The file gets its name only when it is complete and on the disk (partial.h). Thread: any; an
 * object belongs to one at a time. */
#ifndef AG_LOAD_IMAGE_H
#define AG_LOAD_IMAGE_H

#include "base/file.h"
#include "base/log.h"
#include "base/sha256.h"
#include "par/pool.h"

/* Where images are kept, and how many. Zero: none are. Borrowed texts. */
typedef struct ag_image_store {
    const char *folder; /* NULL: no images */
    uint64_t max_bytes; /* of all together */
    uint64_t min_bytes; /* contents below this are made as fast as found */
    const char
        *digest; /* of what they are made from; NULL, "": the files' identity stands for it */
} ag_image_store;

typedef struct ag_image {
    ag_file_map map;
    const uint8_t *contents; /* [bytes], 64-byte aligned; NULL: not open */
    uint64_t bytes;
} ag_image;

/* Map the image of `key` and check it on all threads of the pool, which also brings it into memory.
 * AG_E_NOT_FOUND, AG_E_FORMAT (what is wrong with it), AG_E_IO (somebody else's, unreadable). */
ag_code ag_image_open(const char *folder, const char *key, uint64_t bytes, ag_pool *pool,
                      ag_image *out, ag_err *err) AG_MUST_USE;
void ag_image_close(ag_image *image);

/* A thread that writes an image, at low priority. */
typedef struct ag_image_writer ag_image_writer;
/* Start it. The folder is made where it is missing, with its parents, for us alone. `contents` must
 * stay as they are until the writer is freed; the rest is copied, but for the logger's context. It
 * says how it went in the log. AG_E_NOMEM. */
ag_code ag_image_write(const ag_image_store *store, const char *key, ag_span contents,
                       const ag_logger *log, ag_image_writer **out, ag_err *err) AG_MUST_USE;
/* Wait until it has ended, or make it give up and end. Accepts NULL. */
void ag_image_writer_wait(ag_image_writer *w);
void ag_image_writer_free(ag_image_writer **w);

/* Does this say a folder? NULL, "" and "off" do not: no images are kept. */
bool ag_image_is_folder(const char *folder);
/* Make the folder and its parents, for us alone. AG_E_IO, AG_E_LIMIT. */
ag_code ag_image_make_folder(const char *folder, ag_err *err) AG_MUST_USE;

#endif
