/* A large file that is written in pieces and may be interrupted: nothing half-written ever stands
 * under its name, and a later run goes on where this one stopped.
 *
 * The bytes go to PATH.partial. Beside it, PATH.partial.journal holds the identity of what is being
 * written and the hash of every finished piece, in order. Finishing syncs the file and renames it.
 * Pieces are trusted only after their bytes were read again and hashed, so it does not matter what
 * reached the disk before a crash.
 *
 *   journal   "AGPART1\n", identity u64, then for each piece its hash u64 and a check u64
 *
 * Thread: one at a time. */
#ifndef AG_LOAD_PARTIAL_H
#define AG_LOAD_PARTIAL_H

#include "base/span.h"

typedef struct ag_partial {
    const char *path;         /* borrowed: where the finished file goes */
    char *name, *journal;     /* owned: paths of the unfinished file and of its journal */
    int fd, journal_fd;       /* -1 when closed; fd is locked against other writers */
    uint64_t identity;        /* of what is being written */
    uint64_t bytes;           /* of the whole file */
    size_t n_found, n_pieces; /* pieces in the journal when opened; pieces that count now */
    bool keep;                /* there is work worth going on with */
} ag_partial;

/* Start, or go on with what an earlier run left when it has the same identity and `resume` says so.
 * The space is reserved at once where the file system can. `path` must live as long as *p.
 * AG_E_IO (the disk is full: with needed and free space), AG_E_AGAIN (another process is writing
 * the same file), AG_E_NOMEM. */
ag_code ag_partial_open(ag_partial *p, const char *path, uint64_t bytes, uint64_t identity,
                        bool resume, ag_err *err) AG_MUST_USE;
/* The hash noted for the next piece, which counts once ag_partial_trust() is called; false when the
 * journal says nothing more. */
bool ag_partial_noted(const ag_partial *p, uint64_t *hash);
void ag_partial_trust(ag_partial *p);
/* Read n bytes back; false when they are not there. */
bool ag_partial_read(const ag_partial *p, uint64_t at, void *to, size_t n);
/* AG_E_IO; when the disk is full the message says what to do. */
ag_code ag_partial_write(ag_partial *p, uint64_t at, ag_span bytes, ag_err *err) AG_MUST_USE;
/* The next piece is complete and hashes to this. AG_E_IO. */
ag_code ag_partial_note(ag_partial *p, uint64_t hash, ag_err *err) AG_MUST_USE;
/* Sync, give the file its name, remove the journal. AG_E_IO. */
ag_code ag_partial_finish(ag_partial *p, ag_err *err) AG_MUST_USE;
/* Close. What was finished piece by piece stays for the next run; a file without any piece goes. */
void ag_partial_close(ag_partial *p);

#endif
