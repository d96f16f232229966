/* autoglm models: the registry of names. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/out.h"
#include "cli/registry.h"

/* How the files of an entry are now. */
typedef enum state { PRESENT, CHANGED, MISSING } state;

static const char *const state_names[] = {"present", "changed", "missing"};

typedef struct models {
    const ag_cli_args *a;
    ag_names *names; /* NULL: there is no registry yet */
    size_t n_bad;    /* entries that do not verify */
} models;

static state state_of(const ag_name_entry *e) {
    bool is_current = false;
    if (ag_names_is_current(e, &is_current, NULL))
        return MISSING;
    return is_current ? PRESENT : CHANGED;
}

static const char *time_text(int64_t seconds, const char *format, char text[32]) {
    struct tm tm;
    time_t t = (time_t)seconds;
    if (!gmtime_r(&t, &tm) || strftime(text, 32, format, &tm) == 0)
        snprintf(text, 32, "?");
    return text;
}

static json_t *entry_json(const ag_name_entry *e) {
    char added[32];
    return json_pack("{s:s, s:o, s:s, s:s, s:I, s:s, s:s}", "name", e->name, "path",
                     ag_cli_json_text(ag_str(e->path)), "architecture", e->architecture, "digest",
                     e->digest, "bytes", (json_int_t)e->bytes, "added",
                     time_text(e->added, "%Y-%m-%dT%H:%M:%SZ", added), "state",
                     state_names[state_of(e)]);
}

/* Open the registry. A default one that is not there yet is an empty one, told by m->names. */
static int open_registry(models *m, ag_names_mode mode) {
    bool is_chosen;
    ag_err err = {0};
    ag_code code;
    const char *path = ag_cli_registry(m->a, &is_chosen);
    if (!path)
        return ag_cli_usage("models: no place for the registry is known: give --registry FILE or "
                            "set HOME");
    if (access(path, F_OK) != 0 && !is_chosen)
        return AG_CLI_DONE;
    if (access(path, F_OK) != 0)
        code = ag_fail(&err, AG_E_NOT_FOUND,
                       "there is no registry %s; 'autoglm models add' makes it", path);
    else
        code = ag_names_open(path, mode, &m->names, &err);
    return code ? ag_cli_fail(&err) : AG_CLI_DONE;
}

static int find(models *m, const char *name, ag_name_entry *e) {
    ag_err err = {0};
    ag_code code = m->names ? ag_names_find(m->names, name, e, &err)
                            : ag_fail(&err, AG_E_NOT_FOUND,
                                      "no name is registered yet, so not \"%s\" either", name);
    if (!code)
        return AG_CLI_DONE;
    ag_cli_note("%s", err.msg);
    if (code == AG_E_NOT_FOUND)
        ag_cli_hint("'autoglm models list' shows all names");
    return AG_CLI_FAILED;
}

/* ---- add and remove -------------------------------------------------------------------------- */

static int add(models *m) {
    char size[AG_CLI_SIZE_TEXT];
    ag_name_entry e;
    int status = ag_cli_register(m->a, m->a->pos[1], m->a->pos[2], NULL, &e);
    if (status)
        return status;
    if (m->a->json) {
        ag_cli_out_json(entry_json(&e));
        return AG_CLI_DONE;
    }
    ag_cli_out("%s: ", e.name);
    ag_cli_out_name(ag_str(e.path));
    ag_cli_out(" (%s, %s, sha256 %s)\n", e.architecture[0] ? e.architecture : "unknown",
               ag_cli_size(e.bytes, size), e.digest);
    return AG_CLI_DONE;
}

static int take_away(models *m) {
    ag_name_entry e;
    ag_err err = {0};
    int status = open_registry(m, AG_NAMES_WRITE);
    if (!status)
        status = find(m, m->a->pos[1], &e);
    if (status)
        return status;
    if (ag_names_remove(m->names, e.name, &err))
        return ag_cli_fail(&err);
    if (m->a->json) {
        ag_cli_out_json(json_pack("{s:s}", "removed", e.name));
        return AG_CLI_DONE;
    }
    ag_cli_out("%s no longer means ", e.name);
    ag_cli_out_name(ag_str(e.path));
    ag_cli_out("; the files stay\n");
    return AG_CLI_DONE;
}

/* ---- list and show --------------------------------------------------------------------------- */

static bool list_one(void *ctx, const ag_name_entry *e) {
    const models *m = ctx;
    char size[AG_CLI_SIZE_TEXT], added[32];
    state s = state_of(e);
    if (m->a->json) {
        ag_cli_out_json(entry_json(e));
        return true;
    }
    ag_cli_out("%-24s %-10s %10s  %s  ", e->name, e->architecture[0] ? e->architecture : "-",
               ag_cli_size(e->bytes, size), time_text(e->added, "%Y-%m-%d", added));
    ag_cli_out_name(ag_str(e->path));
    ag_cli_out(s == PRESENT ? "\n" : " (%s)\n", state_names[s]);
    return !ag_cli_out_lost();
}

static int list(models *m) {
    ag_err err = {0};
    int status = open_registry(m, AG_NAMES_READ);
    if (status)
        return status;
    if (!m->names)
        ag_cli_hint("no name is registered yet; 'autoglm models add NAME PATH' adds one");
    else if (ag_names_list(m->names, list_one, m, &err))
        return ag_cli_fail(&err);
    return AG_CLI_DONE;
}

static void row(const char *label, const char *value) {
    ag_cli_out("  %-13s ", label);
    ag_cli_out_name(ag_str(value));
    ag_cli_out("\n");
}

static int show(models *m) {
    static const char *const states[] = {"as registered",
                                         "changed: another size or time than when registered",
                                         "missing, or not to be read"};
    char size[AG_CLI_SIZE_TEXT], added[32];
    ag_name_entry e;
    int status = open_registry(m, AG_NAMES_READ);
    if (!status)
        status = find(m, m->a->pos[1], &e);
    if (status)
        return status;
    if (m->a->json) {
        ag_cli_out_json(entry_json(&e));
        return AG_CLI_DONE;
    }
    ag_cli_out("%s\n", e.name);
    row("path", e.path);
    row("architecture", e.architecture[0] ? e.architecture : "not known");
    row("size", ag_cli_size(e.bytes, size));
    row("sha256", e.digest[0] ? e.digest : "not known");
    row("added", time_text(e.added, "%Y-%m-%d %H:%M:%S UTC", added));
    row("files", states[state_of(&e)]);
    return AG_CLI_DONE;
}

/* ---- verify ---------------------------------------------------------------------------------- */

/* The bytes are the same though the times are not: note the new times, so that nobody is warned. A
 * registry that cannot be written keeps warning. */
static void refresh(const models *m, const ag_name_entry *e) {
    ag_name_entry now;
    ag_names *names = NULL;
    if (ag_names_describe(e->path, &now, NULL) == AG_OK &&
        ag_names_open(ag_cli_registry(m->a, NULL), AG_NAMES_WRITE, &names, NULL) == AG_OK) {
        ag_name_entry fresh = *e;
        fresh.bytes = now.bytes;
        fresh.modified = now.modified;
        (void)!ag_names_add(names, &fresh, true, NULL);
    }
    ag_names_close(&names);
}

static void verify_entry(models *m, const ag_name_entry *e) {
    char found[AG_SHA256_TEXT] = "", reason[sizeof(ag_err)] = "";
    ag_err err = {0};
    if (!e->digest[0])
        snprintf(reason, sizeof reason, "no digest is registered");
    else if (ag_cli_digest(m->a, e->path, found, &err))
        snprintf(reason, sizeof reason, "%s", err.msg);
    else if (strcmp(found, e->digest) != 0)
        snprintf(reason, sizeof reason, "differs: registered is %s, found %s", e->digest, found);
    bool ok = !reason[0];
    if (!ok)
        m->n_bad++;
    else if (state_of(e) == CHANGED)
        refresh(m, e);
    if (m->a->json) {
        ag_cli_out_json(json_pack("{s:s, s:b, s:s, s:o, s:o}", "name", e->name, "ok", ok, "digest",
                                  e->digest, "found", found[0] ? json_string(found) : json_null(),
                                  "reason", ok ? json_null() : ag_cli_json_text(ag_str(reason))));
        return;
    }
    ag_cli_out("%s: ", e->name);
    ag_cli_out_name(ag_str(ok ? "ok" : reason));
    ag_cli_out("\n");
    (void)ag_cli_out_flush(); /* the next may take long */
}

/* Names are collected first: hashing takes long, and nobody is to wait for the registry. */
static bool collect(void *ctx, const ag_name_entry *e) {
    return ag_buf_add(ctx, e->name, sizeof e->name);
}

static int verify_all(models *m) {
    ag_buf all;
    ag_name_entry e;
    ag_err err = {0};
    ag_buf_init(&all, AG_ROOM_CLI, AG_MAX_NAMES * sizeof e.name);
    ag_code code = ag_names_list(m->names, collect, &all, &err);
    if (!code)
        code = ag_buf_check(&all, "the list of names", &err);
    for (size_t at = 0; !code && at < all.n && !ag_cli_out_lost(); at += sizeof e.name) {
        code = ag_names_find(m->names, all.p + at, &e, &err);
        if (!code)
            verify_entry(m, &e);
        else if (code == AG_E_NOT_FOUND)
            code = AG_OK; /* taken away meanwhile */
    }
    ag_buf_deinit(&all);
    return code ? ag_cli_fail(&err) : AG_CLI_DONE;
}

static int verify(models *m) {
    ag_name_entry e;
    int status = open_registry(m, AG_NAMES_READ);
    if (!status && m->a->n_pos == 1)
        status = m->names ? verify_all(m) : AG_CLI_DONE;
    else if (!status && (status = find(m, m->a->pos[1], &e)) == AG_CLI_DONE)
        verify_entry(m, &e);
    return status || !m->n_bad ? status : AG_CLI_FAILED;
}

/* ---- the command ----------------------------------------------------------------------------- */

static const struct {
    const char *word, *usage;
    int min, max; /* words after it */
    int (*run)(models *m);
} actions[] = {
    {"add", "NAME PATH", 2, 2, add},    {"list", "", 0, 0, list},
    {"rm", "NAME", 1, 1, take_away},    {"show", "NAME", 1, 1, show},
    {"verify", "[NAME]", 0, 1, verify},
};

int ag_cli_models(const ag_cli_args *a) {
    models m = {.a = a};
    char near[64];
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if (strcmp(a->pos[0], actions[i].word) != 0)
            continue;
        int n = a->n_pos - 1;
        if (n < actions[i].min || n > actions[i].max) {
            ag_cli_note("models %s: %s", actions[i].word,
                        n < actions[i].min ? "an argument is missing" : "too many arguments");
            ag_cli_hint("usage: autoglm models %s %s", actions[i].word, actions[i].usage);
            return AG_CLI_USAGE;
        }
        int status = actions[i].run(&m);
        ag_names_close(&m.names);
        return status;
    }
    const char *found = ag_cli_nearest(a->pos[0], a->command->words, near);
    ag_cli_note("models: expected one of %s, found \"%s\"", a->command->words, a->pos[0]);
    if (found)
        ag_cli_hint("did you mean %s?", found);
    return AG_CLI_USAGE;
}
