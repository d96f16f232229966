#include "cli/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "cli/out.h"
#include "cli/registry.h"
#include "kernels/cpu.h"

const char *ag_cli_model(const ag_cli_args *a) {
    const char *model = a->model ? a->model : ag_cli_env("AUTOGLM_MODEL");
    if (model && *model)
        return model;
    ag_cli_note("%s: which model? -m MODEL is missing", a->command->name);
    ag_cli_hint("usage: autoglm %s %s (or set AUTOGLM_MODEL)", a->command->name, a->command->usage);
    return NULL;
}

int ag_cli_model_path(const ag_cli_args *a, char path[PATH_MAX]) {
    const char *model = ag_cli_model(a);
    return model ? ag_cli_resolve(a, model, path) : AG_CLI_USAGE;
}

int ag_cli_tier(const ag_cli_args *a, const char **tier) {
    const char *from_env = ag_cli_env("AUTOGLM_ISA");
    const char *cap = a->isa ? a->isa : from_env;
    *tier = NULL;
    if (!cap || !*cap || strcmp(cap, "auto") == 0)
        return AG_CLI_DONE;
    int known = -1;
    for (int t = 0; t < AG_TIERS; t++)
        if (strcmp(cap, ag_tier_name((ag_tier)t)) == 0)
            known = t;
    if (known < 0)
        return ag_cli_usage("AUTOGLM_ISA: expected one of " AG_TIER_WORDS ", found \"%s\"", cap);
    if (!ag_tier_is_ours((ag_tier)known))
        return ag_cli_usage("isa: this CPU is of another architecture than \"%s\"", cap);
    while (known > 0 && !ag_cpu_runs((ag_tier)known))
        known--;
    *tier = ag_tier_name((ag_tier)known);
    return AG_CLI_DONE;
}

ag_code ag_cli_check_utf8(ag_span s, const char *what, ag_err *err) {
    size_t good = ag_utf8_valid_prefix(s);
    if (good == s.n)
        return AG_OK;
    return ag_fail(err, AG_E_UTF8, "%s: invalid UTF-8 at byte %zu (0x%02x)", what, good,
                   (unsigned char)s.p[good]);
}

int ag_cli_text(const ag_cli_args *a, const char *what, ag_buf *out) {
    ag_err err = {0};
    ag_code code = AG_OK;
    if (a->n_pos > 0 && a->file)
        return ag_cli_usage("%s: give the %s as an argument or with --file, not both",
                            a->command->name, what);
    if (a->n_pos > 0) {
        ag_buf_adds(out, a->pos[0]);
        code = ag_buf_check(out, what, &err);
    } else {
        const char *path = a->file ? a->file : "-";
        if (strcmp(path, "-") == 0 && !a->file && ag_cli_is_terminal(STDIN_FILENO)) {
            ag_cli_note("%s: the %s is missing", a->command->name, what);
            ag_cli_hint("usage: autoglm %s %s", a->command->name, a->command->usage);
            return AG_CLI_USAGE;
        }
        code = ag_file_read(path, out, &err);
    }
    if (!code)
        code = ag_cli_check_utf8(ag_buf_span(out), what, &err);
    return code ? ag_cli_fail(&err) : AG_CLI_DONE;
}

ag_code ag_cli_parse_ids(const char *text, ag_ids *out, ag_err *err) {
    const char *at = text + strspn(text, " ,\t\r\n[]");
    while (*at) {
        char *end = NULL;
        errno = 0;
        long v = strtol(at, &end, 10);
        if (end == at || errno || v < 0 || v > INT32_MAX || (*end && !strchr(" ,\t\r\n[]", *end)))
            return ag_fail(err, AG_E_ARG, "expected token ids, found \"%.*s\"",
                           (int)strcspn(at, " ,\t\r\n"), at);
        ag_code code = ag_ids_add(out, (int32_t)v, err);
        if (code)
            return code;
        at = end + strspn(end, " ,\t\r\n[]");
    }
    return AG_OK;
}
