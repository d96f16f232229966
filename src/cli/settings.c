#include "cli/settings.h"

#include "cli/out.h"

int ag_cli_settings(const ag_cli_args *a, ag_arena *keys, ag_config_setting *out) {
    for (size_t i = 0; i < a->set.n; i++) {
        ag_span s = ag_str(a->set.v[i]);
        size_t equals = ag_span_find(s, ag_str("="), 0);
        if (equals == SIZE_MAX || equals == 0)
            return ag_cli_usage("--set: expected KEY=VALUE, as server.listen=127.0.0.1:9000, found "
                                "\"%s\"",
                                s.p);
        out[i] = (ag_config_setting){
            .key = ag_arena_strndup(keys, s.p, equals), .value = s.p + equals + 1, .from = "--set"};
        if (!out[i].key)
            return ag_cli_fail(&(ag_err){.code = AG_E_NOMEM, .msg = "out of memory"});
    }
    return AG_CLI_DONE;
}

int ag_cli_tell_mistakes(const ag_buf *mistakes, const ag_err *err) {
    size_t n = 0;
    for (ag_span rest = ag_buf_span(mistakes); rest.n; n++) {
        size_t end = ag_span_find(rest, ag_str("\n"), 0);
        ag_span line = ag_span_sub(rest, 0, end);
        ag_cli_note("%.*s", AG_SPAN(line));
        rest = ag_span_sub(rest, end == SIZE_MAX ? rest.n : end + 1, rest.n);
    }
    if (n == 0)
        return ag_cli_fail(err);
    ag_cli_hint("'autoglm check --print' without a file shows all keys with their defaults");
    return AG_CLI_FAILED;
}
