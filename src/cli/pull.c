/* autoglm pull: a model from a hub. */
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli/args.h"
#include "cli/out.h"
#include "cli/progress.h"
#include "cli/registry.h"
#include "cli/stream.h"
#include "hub/pull.h"

#define MAX_FOLDER 4096u
#define MAX_TOKEN  4096u
#define RETRIES    5

typedef struct work {
    const ag_cli_args *a;
    ag_hub_spec spec;
    ag_buf folder, token;
    ag_hub_result got;
    ag_cli_progress bar;
    ag_hub_phase phase; /* that the bar is for */
    bool bar_is_open, is_quiet, was_stopped;
    uint64_t took_us;
} work;

/* ---- what the command line says -------------------------------------------------------------- */

static int read_spec(work *w) {
    ag_err err = {0};
    ag_span revision = ag_str(w->a->revision);
    if (ag_hub_spec_parse(w->a->pos[0], &w->spec, &err))
        return ag_cli_usage("pull: %s", err.msg);
    if (!revision.p)
        return AG_CLI_DONE;
    if (w->spec.revision[0])
        return ag_cli_usage("pull: give the revision after @ or with --revision, not both");
    if (!ag_hub_is_revision(revision))
        return ag_cli_usage("--revision: \"%s\" is no branch, tag or commit", w->a->revision);
    memcpy(w->spec.revision, revision.p, revision.n + 1);
    return AG_CLI_DONE;
}

/* --to, or OWNER/NAME where models are kept. */
static int choose_folder(work *w) {
    const char *models = ag_cli_env("AUTOGLM_MODELS");
    char usual[PATH_MAX];
    if (w->a->to)
        ag_buf_adds(&w->folder, w->a->to);
    else if (models)
        ag_buf_addf(&w->folder, "%s/%s", models, w->spec.repo);
    else if (ag_cli_user_path(usual, "XDG_DATA_HOME", ".local/share", "autoglm/models"))
        ag_buf_addf(&w->folder, "%s/%s", usual, w->spec.repo);
    const char *path = ag_buf_cstr(&w->folder);
    if (!path || w->folder.failed || w->folder.n == 0)
        return ag_cli_usage("pull: where to? --to DIR is missing");
    while (w->folder.n > 1 && w->folder.p[w->folder.n - 1] == '/')
        w->folder.p[--w->folder.n] = '\0';
    return AG_CLI_DONE;
}

static void trim(ag_buf *b) {
    while (b->n && (unsigned char)b->p[b->n - 1] <= ' ')
        b->n--;
}

/* --token-file, which must be there; else the environment's; else where the hub's own tools keep
 * it. Empty: none. */
static ag_code read_token(work *w, ag_err *err) {
    const char *given = ag_cli_env("HF_TOKEN"), *home = ag_cli_env("HOME");
    ag_code code = AG_OK;
    if (w->a->token_file) {
        code = ag_file_read(w->a->token_file, &w->token, err);
    } else if (given) {
        ag_buf_adds(&w->token, given);
        code = ag_buf_check(&w->token, "HF_TOKEN", err);
    } else if (home) {
        ag_buf path;
        ag_buf_init(&path, AG_ROOM_CLI, MAX_FOLDER);
        ag_buf_addf(&path, "%s/.cache/huggingface/token", home);
        const char *file = ag_buf_cstr(&path);
        if (file && !path.failed && access(file, R_OK) == 0)
            code = ag_file_read(file, &w->token, err);
        ag_buf_deinit(&path);
    }
    trim(&w->token);
    if (!code && w->a->token_file && w->token.n == 0)
        code = ag_fail(err, AG_E_ARG, "%s: holds no token", w->a->token_file);
    return code;
}

/* ---- what is shown on the way ---------------------------------------------------------------- */

static void close_bar(work *w) {
    if (w->bar_is_open)
        ag_cli_progress_end(&w->bar);
    w->bar_is_open = false;
}

static void on_progress(void *ctx, ag_hub_phase phase, uint64_t done, uint64_t total) {
    work *w = ctx;
    if (w->is_quiet)
        return;
    if (w->bar_is_open && phase != w->phase)
        close_bar(w);
    if (!w->bar_is_open) {
        ag_cli_progress_begin(&w->bar, phase == AG_HUB_FETCHING ? "pulling" : "checking",
                              !ag_cli_may_colour(STDERR_FILENO));
        w->bar.with_rate = true;
    }
    w->bar_is_open = true;
    w->phase = phase;
    ag_cli_progress_tell(&w->bar, done, total);
}

static void on_note(void *ctx, const char *line) {
    work *w = ctx;
    if (w->bar_is_open)
        ag_cli_progress_end(&w->bar);
    ag_cli_note("%s", line);
}

static bool is_stopped(void *ctx) {
    work *w = ctx;
    w->was_stopped |= ag_cli_take_interrupts() > 0;
    return w->was_stopped;
}

/* ---- the result ------------------------------------------------------------------------------ */

static const char *state_name(ag_hub_state s) {
    return s == AG_HUB_WAS_THERE ? "complete" : s == AG_HUB_RESUMED ? "resumed" : "fetched";
}

static json_t *files_json(const ag_hub_result *r) {
    json_t *all = json_array();
    for (size_t i = 0; i < r->n; i++) {
        const ag_hub_got *f = &r->files[i];
        json_array_append_new(
            all, json_pack("{s:o, s:I, s:s, s:s}", "path", ag_cli_json_text(ag_str(f->path)),
                           "bytes", (json_int_t)f->bytes, f->is_sha256 ? "sha256" : "blob_sha1",
                           f->digest, "state", state_name(f->state)));
    }
    return all;
}

static bool is_complete(const ag_hub_result *r) {
    for (size_t i = 0; i < r->n; i++)
        if (r->files[i].state != AG_HUB_WAS_THERE)
            return false;
    return true;
}

static void report(const work *w) {
    const ag_hub_result *r = &w->got;
    char all[AG_CLI_SIZE_TEXT], came[AG_CLI_SIZE_TEXT];
    if (w->a->json) {
        ag_cli_out_json(json_pack(
            "{s:o, s:s*, s:s, s:s, s:o, s:I, s:I, s:o}", "model",
            ag_cli_json_text(ag_str(r->model)), "name", w->a->name, "repo", w->spec.repo, "commit",
            r->commit, "files", files_json(r), "bytes", (json_int_t)r->bytes, "fetched_bytes",
            (json_int_t)r->fetched, "seconds", ag_cli_json_num((double)w->took_us / 1e6)));
        return;
    }
    ag_cli_out_name(ag_str(r->model));
    ag_cli_out(": %s at %.8s, %zu file%s, %s, ", w->spec.repo, r->commit, r->n,
               r->n == 1 ? "" : "s", ag_cli_size(r->bytes, all));
    if (is_complete(r))
        ag_cli_out("already complete and checked\n");
    else
        ag_cli_out("checked; %s fetched in %.1f s\n", ag_cli_size(r->fetched, came),
                   (double)w->took_us / 1e6);
}

static int tell_failure(const work *w, ag_code code, const ag_err *err) {
    const ag_hub_result *r = &w->got;
    char there[AG_CLI_SIZE_TEXT], all[AG_CLI_SIZE_TEXT];
    if (code == AG_E_CANCELLED)
        ag_cli_note("stopped: %s of %s are there and stay", ag_cli_size(r->there, there),
                    ag_cli_size(r->bytes, all));
    else
        ag_cli_note("%s", err->msg[0] ? err->msg : ag_code_name(code));
    if (code == AG_E_CANCELLED || (code == AG_E_AGAIN && r->there > 0))
        ag_cli_hint("the same command goes on where this one stopped");
    else if (r->refused == 401 || r->refused == 403)
        ag_cli_hint("--token-file FILE or HF_TOKEN gives a token");
    else if (r->refused == 404)
        ag_cli_hint("check the owner, the name, the revision and the hub's address (--endpoint)");
    else if (code == AG_E_ARG && r->n == 0 && r->listing.n > 0)
        ag_cli_hint("autoglm pull hf:%s:Q4_K_M names one by its quantisation", w->spec.repo);
    return AG_CLI_FAILED;
}

/* Of one file the registry's digest is that of its bytes; of several it has its own. */
static int give_name(const work *w) {
    const ag_hub_result *r = &w->got;
    if (!w->a->name)
        return AG_CLI_DONE;
    const char *digest = r->n == 1 && r->files[0].is_sha256 ? r->files[0].digest : NULL;
    return ag_cli_register(w->a, w->a->name, r->model, digest, NULL);
}

static int pull(work *w) {
    ag_err err = {0};
    ag_code code = read_token(w, &err);
    if (code)
        return ag_cli_fail(&err);
    const char *endpoint = w->a->endpoint ? w->a->endpoint : ag_cli_env("HF_ENDPOINT");
    const ag_hub_opts opts = {.endpoint = endpoint,
                              .token = w->token.n ? ag_buf_cstr(&w->token) : NULL,
                              .ca_file = w->a->ca_file,
                              .retries =
                                  ag_cli_given(w->a, "retries") ? (int)w->a->retries : RETRIES,
                              .on_progress = on_progress,
                              .on_note = on_note,
                              .is_stopped = is_stopped,
                              .ctx = w};
    uint64_t began = ag_clock_us();
    ag_cli_catch_interrupt();
    code = ag_hub_pull(&w->spec, w->folder.p, &opts, &w->got, &err);
    w->took_us = ag_clock_us() - began;
    close_bar(w);
    if (code)
        return tell_failure(w, code, &err);
    int status = give_name(w);
    if (!status)
        report(w);
    return status;
}

int ag_cli_pull(const ag_cli_args *a) {
    work w = {.a = a, .is_quiet = a->quiet};
    ag_buf_init(&w.folder, AG_ROOM_CLI, MAX_FOLDER);
    ag_buf_init(&w.token, AG_ROOM_CLI, MAX_TOKEN);
    int status = read_spec(&w);
    if (!status)
        status = choose_folder(&w);
    if (!status && a->name)
        status = ag_cli_name_is_free(a, a->name);
    if (!status)
        status = pull(&w);
    ag_hub_result_deinit(&w.got);
    if (w.token.p)
        explicit_bzero(w.token.p, w.token.n);
    ag_buf_deinit(&w.token);
    ag_buf_deinit(&w.folder);
    return status;
}
