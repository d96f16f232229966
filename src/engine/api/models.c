/* From what a user calls a model to its files. */
#include "autoglm/models.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "names/names.h"

typedef struct found {
    ag_model_ref ref; /* first: what the caller holds */
    ag_name_entry entry;
} found;

/* Anything but "there is nothing of that name" is for opening to explain. */
static bool exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

static ag_code look_up(const char *name, const char *registry, found *f, ag_err *err) {
    ag_names *names = NULL;
    ag_err why = {0};
    bool is_current = false;
    ag_code code = ag_names_open(registry, AG_NAMES_READ, &names, &why);
    if (code == AG_E_NOT_FOUND)
        return ag_fail(err, code, "%s: no such file or folder, and there is no registry %s", name,
                       registry);
    if (!code)
        code = ag_names_find(names, name, &f->entry, &why);
    ag_names_close(&names);
    if (code == AG_E_NOT_FOUND)
        return ag_fail(err, code, "%s: no such file or folder, and %s", name, why.msg);
    if (code)
        return ag_fail(err, code, "%s: no such file or folder; as a name: %s", name, why.msg);
    code = ag_names_is_current(&f->entry, &is_current, err);
    if (code)
        return ag_err_wrap(err, code, "registry %s", registry);
    f->ref = (ag_model_ref){.path = f->entry.path,
                            .name = f->entry.name,
                            .digest = f->entry.digest,
                            .architecture = f->entry.architecture,
                            .added = f->entry.added,
                            .changed = !is_current};
    return AG_OK;
}

ag_code ag_model_resolve(const char *model, const char *registry, ag_model_ref **out, ag_err *err) {
    if (err)
        *err = (ag_err){0};
    *out = NULL;
    if (!model || !*model)
        return ag_fail(err, AG_E_ARG, "model: neither a path nor a name was given");
    bool is_path = exists(model);
    if (!is_path && !(registry && ag_name_is_valid(model))) {
        errno = ENOENT;
        return ag_fail_errno(err, model, "open");
    }
    size_t n = is_path ? strlen(model) + 1 : 0;
    found *f = ag_calloc(AG_ROOM_API, 1, sizeof *f + n);
    if (!f)
        return ag_fail(err, AG_E_NOMEM, "out of memory while looking for %s", model);
    ag_code code = AG_OK;
    if (is_path) {
        memcpy(f + 1, model, n);
        f->ref = (ag_model_ref){.path = (char *)(f + 1), .digest = "", .architecture = ""};
    } else {
        code = look_up(model, registry, f, err);
    }
    if (code)
        ag_free(f);
    else
        *out = &f->ref;
    return code;
}

void ag_model_ref_free(ag_model_ref **ref) {
    if (!ref)
        return;
    ag_free(*ref);
    *ref = NULL;
}
