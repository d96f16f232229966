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
