#include "hub/pull.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "hub/parts.h"

void ag_hub_tell(const ag_hub *h, ag_hub_phase phase) {
    if (h->opts->on_progress)
        h->opts->on_progress(h->opts->ctx, phase, h->done, h->total);
}

void ag_hub_note(const ag_hub *h, const char *fmt, ...) {
    char line[700];
    va_list ap;
    if (!h->opts->on_note)
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    h->opts->on_note(h->opts->ctx, line);
}

/* ---- what is there --------------------------------------------------------------------------- */

static ag_code fill_result(ag_hub *h, const ag_hub_choice *c, ag_err *err) {
    ag_hub_result *r = h->out;
    r->files = ag_calloc(AG_ROOM_HUB, c->n, sizeof *r->files);
    r->model = c->is_folder ? ag_strndup(AG_ROOM_HUB, h->folder, strlen(h->folder))
                            : ag_hub_join(h->folder, c->files[0]->path, "");
    if (!r->files || !r->model)
        return ag_fail(err, AG_E_NOMEM, "out of memory for a list of %zu files", c->n);
    for (size_t i = 0; i < c->n; i++) {
        const ag_hub_file *f = c->files[i];
        r->files[i] = (ag_hub_got){.path = f->path,
                                   .digest = ag_hub_digest_wanted(f),
                                   .is_sha256 = f->sha256[0] != '\0',
                                   .bytes = f->bytes,
                                   .state = AG_HUB_FETCHED};
        r->bytes += f->bytes; /* bounded by the listing: no overflow */
    }
    r->n = c->n;
    return AG_OK;
}

/* Find the files that are complete. One that is something else is replaced only in a folder that an
 * earlier pull of this repository made. */
static ag_code check_file(ag_hub *h, const ag_hub_file *f, ag_hub_got *got, bool is_ours,
                          ag_err *err) {
    bool yes = false;
    uint64_t before = h->done;
    char *path = ag_hub_join(h->folder, f->path, "");
    if (!path)
        return ag_fail(err, AG_E_NOMEM, "out of memory");
    ag_code code = ag_hub_is_there(h, f, path, &yes, err);
    h->done = before + f->bytes;
    if (!code && yes) {
        got->state = AG_HUB_WAS_THERE;
        h->out->there += f->bytes;
    } else if (!code && !is_ours && access(path, F_OK) == 0) {
        code = ag_fail(err, AG_E_ARG,
                       "%s: there is another file of this name, which is not touched; pull into "
                       "another folder",
                       path);
    } else if (!code && access(path, F_OK) == 0) {
        ag_hub_note(h, "%s: differs from the hub's, will be replaced", path);
    }
    ag_free(path);
    return code;
}

static ag_code check_all(ag_hub *h, const ag_hub_choice *c, ag_err *err) {
    char owner[2 * AG_HUB_MAX_NAME + 2];
    ag_code code = ag_hub_make_folder(h->folder, err);
    if (!code)
        code = ag_hub_read_record(h->folder, owner, sizeof owner, err);
    if (!code && owner[0] && strcmp(owner, h->repo) != 0)
        code = ag_fail(err, AG_E_ARG, "%s holds files of %s; pull into another folder", h->folder,
                       owner);
    h->done = 0;
    h->total = h->out->bytes;
    for (size_t i = 0; !code && i < c->n; i++)
        code = check_file(h, c->files[i], &h->out->files[i], owner[0] != '\0', err);
    return code;
}

static double mib(uint64_t bytes) { return (double)bytes / (1024.0 * 1024.0); }

static ag_code check_space(const ag_hub *h, const ag_hub_choice *c, ag_err *err) {
    uint64_t need = 0, left = ag_hub_free_bytes(h->folder);
    for (size_t i = 0; i < c->n; i++)
        if (h->out->files[i].state != AG_HUB_WAS_THERE)
            need += c->files[i]->bytes - ag_hub_unfinished(h, c->files[i]);
    if (need <= left)
        return AG_OK;
    return ag_fail(err, AG_E_IO, "%s: the pull needs %.1f MiB, %.1f MiB are free: make room",
                   h->folder, mib(need), mib(left));
}

/* ---- fetching -------------------------------------------------------------------------------- */

static ag_code fetch_all(ag_hub *h, const ag_hub_choice *c, ag_err *err) {
    ag_code code = AG_OK;
    h->total = h->out->bytes;
    h->done = h->out->there;
    for (size_t i = 0; !code && i < c->n; i++) {
        ag_hub_got *got = &h->out->files[i];
        if (got->state == AG_HUB_WAS_THERE)
            continue;
        uint64_t before = h->done;
        code = ag_hub_fetch(h, c->files[i], &got->state, err);
        h->done = before + got->bytes;
    }
    return code;
}

static bool is_complete(const ag_hub_result *r) {
    for (size_t i = 0; i < r->n; i++)
        if (r->files[i].state != AG_HUB_WAS_THERE)
            return false;
    return true;
}

static ag_code pull(ag_hub *h, const ag_hub_spec *spec, ag_err *err) {
    ag_hub_choice choice;
    ag_code code = ag_hub_open(h, err);
    if (!code)
        code = ag_hub_read_repo(h, err);
    if (code)
        return code;
    code = ag_hub_choose(&h->out->listing, spec->file, &choice, err);
    if (code)
        return ag_err_wrap(err, code, "%s", h->repo);
    code = fill_result(h, &choice, err);
    if (!code)
        code = check_all(h, &choice, err);
    if (code || is_complete(h->out))
        return code;
    code = check_space(h, &choice, err);
    if (!code)
        code = ag_hub_write_record(h, err);
    return code ? code : fetch_all(h, &choice, err);
}

ag_code ag_hub_pull(const ag_hub_spec *spec, const char *folder, const ag_hub_opts *opts,
                    ag_hub_result *out, ag_err *err) {
    *out = (ag_hub_result){0};
    ag_hub_listing_init(&out->listing);
    ag_hub h = {.opts = opts,
                .repo = spec->repo,
                .revision = spec->revision[0] ? spec->revision : "main",
                .folder = folder,
                .out = out};
    ag_code code = pull(&h, spec, err);
    ag_hub_close(&h);
    return code;
}

void ag_hub_result_deinit(ag_hub_result *r) {
    ag_free(r->files);
    ag_free(r->model);
    ag_hub_listing_deinit(&r->listing);
    *r = (ag_hub_result){0};
}
