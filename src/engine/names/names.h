/* The registry of model names: a small SQLite file in which an operator says what a name means.
 *
 * One row a name: the path of its model, and what was true of the files when the row was made. The
 * file is hostile like any other: it must hold exactly our table, and every value read is checked.
 * Several processes may use one registry at the same time. docs/models.md describes the file.
 *
 * Thread: an ag_names belongs to one thread at a time; several may be open. */
#ifndef AG_NAMES_NAMES_H
#define AG_NAMES_NAMES_H

#include <limits.h>

#include "base/sha256.h"
#include "base/span.h"

#define AG_NAME_TEXT 129 /* the longest name and its end */
#define AG_ARCH_TEXT 65  /* the longest architecture and its end */

typedef struct ag_name_entry {
    char name[AG_NAME_TEXT];
    char path[PATH_MAX];         /* absolute: a GGUF file (of a split set, any part) or a folder */
    char digest[AG_SHA256_TEXT]; /* of the files, as ag_names_digest() makes it; "": not known */
    char architecture[AG_ARCH_TEXT]; /* printable ASCII; "": not known */
    int64_t added;                   /* seconds since 1970 */
    uint64_t bytes;                  /* of the files together */
    int64_t modified;                /* newest of their times, nanoseconds since 1970 */
} ag_name_entry;

typedef struct ag_names ag_names;

typedef enum ag_names_mode {
    AG_NAMES_READ,  /* the file must be there; entries stay as they are */
    AG_NAMES_WRITE, /* made when it is missing; its folder must be there */
} ag_names_mode;

/* AG_E_NOT_FOUND (no such file), AG_E_IO, AG_E_FORMAT (not a registry, or damaged),
 * AG_E_UNSUPPORTED (of a newer version), AG_E_AGAIN (locked by another process for seconds),
 * AG_E_NOMEM. */
ag_code ag_names_open(const char *path, ag_names_mode mode, ag_names **out,
                      ag_err *err) AG_MUST_USE;
/* Sets *names to NULL; accepts NULL. */
void ag_names_close(ag_names **names);

/* Is this a name and not a path? 1 to 128 letters, digits and . _ - / : of ASCII, in parts between
 * slashes that begin with a letter or digit. */
bool ag_name_is_valid(const char *name);
/* The same with the reason: AG_E_ARG. */
ag_code ag_name_check(const char *name, ag_err *err) AG_MUST_USE;

/* Write an entry; a name that is there already is replaced or (AG_E_ARG) refused. AG_E_ARG (what
 * is not valid in the entry), and as ag_names_open(). */
ag_code ag_names_add(ag_names *names, const ag_name_entry *entry, bool replace,
                     ag_err *err) AG_MUST_USE;
/* AG_E_NOT_FOUND (the message lists near names), and as ag_names_open(). */
ag_code ag_names_find(ag_names *names, const char *name, ag_name_entry *entry,
                      ag_err *err) AG_MUST_USE;
ag_code ag_names_remove(ag_names *names, const char *name, ag_err *err) AG_MUST_USE;
/* Call `each` with every entry in the order of names, until it returns false. The entry is valid
 * during the call; `each` must not use the registry. Errors as ag_names_open(). */
ag_code ag_names_list(ag_names *names, bool (*each)(void *ctx, const ag_name_entry *entry),
                      void *ctx, ag_err *err) AG_MUST_USE;

/* ---- what a model is made of ----------------------------------------------------------------- */

/* Fill an entry for the model at `path`: everything but its name and digest. The model is opened,
 * so that what cannot be read is refused: errors as ag_source_open(). */
ag_code ag_names_describe(const char *path, ag_name_entry *entry, ag_err *err) AG_MUST_USE;
/* The digest of the model at `path`: of one file, SHA-256 of its bytes; of a split set or a folder,
 * SHA-256 of the lines "SIZE  SHA256  NAME\n" of its files in the order of their names (bytes
 * compared). A folder's files are all regular files in it and in folders below, with names
 * relative to it, but none whose name or folder begins with a dot. watch may be NULL; its total is
 * set here. AG_E_NOT_FOUND, AG_E_IO, AG_E_LIMIT, AG_E_FORMAT (a file name with control
 * characters), AG_E_NOMEM, AG_E_CANCELLED. */
ag_code ag_names_digest(const char *path, ag_sha256_watch *watch, char digest[AG_SHA256_TEXT],
                        ag_err *err) AG_MUST_USE;
/* Do the files of an entry still have the size and time that they had? AG_E_NOT_FOUND, naming the
 * entry, when they are gone; AG_E_IO, AG_E_LIMIT, AG_E_NOMEM. */
ag_code ag_names_is_current(const ag_name_entry *entry, bool *current, ag_err *err) AG_MUST_USE;

#endif
