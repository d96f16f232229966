/* autoglm check: is this configuration right? What `serve` would take, without serving. */
#include "cli/out.h"

#include "cli/args.h"
#include "cli/settings.h"

static int report(const ag_cli_args *a, const ag_config *c) {
    if (a->print) {
        ag_buf text;
        ag_buf_init(&text, AG_ROOM_CLI, AG_CONFIG_BYTES * 4);
        ag_config_print(c, &text);
        ag_cli_out_bytes(ag_buf_span(&text));
        ag_buf_deinit(&text);
        return AG_CLI_DONE;
    }
    if (!a->quiet)
        ag_cli_out("%s: in order, %zu model%s\n", a->n_pos ? a->pos[0] : "no file", c->n_models,
                   c->n_models == 1 ? "" : "s");
    return AG_CLI_DONE;
}

int ag_cli_check(const ag_cli_args *a) {
    ag_config_setting settings[AG_CLI_MAX_LIST];
    ag_arena keys;
    ag_buf mistakes;
    ag_config *c = NULL;
    ag_err err = {0};
    ag_arena_init(&keys, AG_ROOM_CLI, AG_CONFIG_BYTES);
    ag_buf_init(&mistakes, AG_ROOM_CLI, AG_CONFIG_BYTES);
    int status = ag_cli_settings(a, &keys, settings);
    if (!status) {
        ag_config_sources sources = {.file = a->n_pos ? a->pos[0] : NULL,
                                     .env = ag_cli_env,
                                     .settings = settings,
                                     .n_settings = a->set.n};
        status = ag_config_load(&sources, &c, &mistakes, &err)
                     ? ag_cli_tell_mistakes(&mistakes, &err)
                     : report(a, c);
    }
    ag_config_free(&c);
    ag_buf_deinit(&mistakes);
    ag_arena_deinit(&keys);
    return status;
}
