/* Where the registry of names lies, and what commands do with it. */
#ifndef AG_CLI_REGISTRY_H
#define AG_CLI_REGISTRY_H

#include <limits.h>

#include "cli/args.h"
#include "names/names.h"

/* The registry's file: --registry, else $AUTOGLM_REGISTRY, else autoglm/models.db below
 * $XDG_DATA_HOME or ~/.local/share; NULL when not even a home folder is known. Lives as long as the
 * process. *chosen (may be NULL) says whether someone named it. */
const char *ag_cli_registry(const ag_cli_args *a, bool *chosen);

/* The path of the model that `model` names, or is. AG_CLI_DONE, or AG_CLI_FAILED after telling why
 * not; files that changed since they were registered are told of. */
int ag_cli_resolve(const ag_cli_args *a, const char *model, char path[PATH_MAX]);

/* Is `name` free in the registry, or may it be replaced (--force)? To be asked before long work.
 * AG_CLI_DONE, or the exit status after telling. */
int ag_cli_name_is_free(const ag_cli_args *a, const char *name);

/* Give the model at `path` a name, replacing an older entry with --force; the registry and its
 * folders are made where they are missing. `digest` is that of ag_names_digest(), or NULL: it is
 * computed, with progress. *entry (may be NULL) gets what was written. AG_CLI_DONE, or the exit
 * status after telling why not. */
int ag_cli_register(const ag_cli_args *a, const char *name, const char *path, const char *digest,
                    ag_name_entry *entry);

/* ag_names_digest() with a progress bar where one may be shown. */
ag_code ag_cli_digest(const ag_cli_args *a, const char *path, char digest[AG_SHA256_TEXT],
                      ag_err *err) AG_MUST_USE;

#endif
