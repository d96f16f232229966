#include "cli/registry.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "autoglm/models.h"
#include "base/file.h"
#include "cli/out.h"
#include "cli/progress.h"

const char *ag_cli_registry(const ag_cli_args *a, bool *chosen) {
    static char path[PATH_MAX];
    const char *given = a->registry ? a->registry : ag_cli_env("AUTOGLM_REGISTRY");
    if (chosen)
        *chosen = given != NULL;
    if (given)
        return given;
    bool known = ag_cli_user_path(path, "XDG_DATA_HOME", ".local/share", "autoglm/models.db");
    return known ? path : NULL;
}

int ag_cli_resolve(const ag_cli_args *a, const char *model, char path[PATH_MAX]) {
    ag_model_ref *ref = NULL;
    ag_err err = {0};
    ag_code code = ag_model_resolve(model, ag_cli_registry(a, NULL), &ref, &err);
    if (!code && strlen(ref->path) >= PATH_MAX)
        code = ag_fail(&err, AG_E_LIMIT, "the path of the model is too long");
    if (!code) {
        snprintf(path, PATH_MAX, "%s", ref->path);
        if (ref->changed)
            ag_cli_note("%s: its files have changed since they were registered; 'autoglm models "
                        "verify %s' compares them with the digest",
                        ref->name, ref->name);
    }
    ag_model_ref_free(&ref);
    return code ? ag_cli_fail(&err) : AG_CLI_DONE;
}

/* Open the registry to write, making it where it is missing. */
static ag_code open_to_write(const ag_cli_args *a, ag_names **names, ag_err *err) {
    const char *path = ag_cli_registry(a, NULL);
    if (!path)
        return ag_fail(err, AG_E_ARG,
                       "no place for the registry is known: give --registry FILE or set HOME");
    ag_code code = ag_file_make_parents(path, err);
    return code ? code : ag_names_open(path, AG_NAMES_WRITE, names, err);
}

int ag_cli_name_is_free(const ag_cli_args *a, const char *name) {
    const char *path = ag_cli_registry(a, NULL);
    ag_names *names = NULL;
    ag_name_entry old;
    ag_err err = {0};
    ag_code code = ag_name_check(name, &err);
    if (!code && path && !a->force) {
        code = ag_names_open(path, AG_NAMES_READ, &names, &err);
        if (!code && (code = ag_names_find(names, name, &old, &err)) == AG_OK)
            code = ag_fail(&err, AG_E_ARG, "the name %s is taken: it means %s; --force replaces it",
                           name, old.path);
        if (code == AG_E_NOT_FOUND)
            code = AG_OK;
    }
    ag_names_close(&names);
    return code ? ag_cli_fail(&err) : AG_CLI_DONE;
}

ag_code ag_cli_digest(const ag_cli_args *a, const char *path, char digest[AG_SHA256_TEXT],
                      ag_err *err) {
    ag_cli_progress bar;
    bool is_shown = !a->quiet && ag_cli_may_colour(STDERR_FILENO);
    ag_sha256_watch watch = {.tell = is_shown ? ag_cli_progress_tell : NULL, .ctx = &bar};
    ag_cli_progress_begin(&bar, "hashing", false);
    ag_code code = ag_names_digest(path, &watch, digest, err);
    ag_cli_progress_end(&bar);
    return code;
}

int ag_cli_register(const ag_cli_args *a, const char *name, const char *path, const char *digest,
                    ag_name_entry *entry) {
    ag_name_entry e;
    ag_names *names = NULL;
    ag_err err = {0};
    int status = ag_cli_name_is_free(a, name);
    if (status)
        return status;
    /* The size and time are taken before the digest: a change in between shows as one later. */
    ag_code code = ag_names_describe(path, &e, &err);
    snprintf(e.name, sizeof e.name, "%s", name);
    if (!code && digest)
        snprintf(e.digest, sizeof e.digest, "%s", digest);
    else if (!code)
        code = ag_cli_digest(a, e.path, e.digest, &err);
    if (!code)
        code = open_to_write(a, &names, &err);
    if (!code)
        code = ag_names_add(names, &e, a->force, &err);
    ag_names_close(&names);
    if (!code && entry)
        *entry = e;
    return code ? ag_cli_fail(&err) : AG_CLI_DONE;
}
