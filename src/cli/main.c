/* autoglm: the command. This file starts the process up (descriptors, signals) and hands over to
 * the command that the table names. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/out.h"

/* A standard descriptor that was closed would be taken by the next file opened, and output would
 * go there. Fill the gaps with the null device, opened so that writing to a closed standard output
 * still fails. */
static void fill_descriptors(void) {
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY);
}

static int unknown_command(const char *word) {
    ag_buf names;
    char near[64];
    ag_buf_init(&names, AG_ROOM_CLI, 4096);
    for (const ag_cli_command *c = ag_cli_commands; c->name; c++)
        if (!c->hidden)
            ag_buf_addf(&names, "%s%s", names.n ? " " : "", c->name);
    const char *list = ag_buf_cstr(&names);
    const char *found = list ? ag_cli_nearest(word, list, near) : NULL;
    bool is_option = word[0] == '-';
    ag_cli_note(is_option ? "unknown option %s" : "unknown command \"%s\"", word);
    if (found)
        ag_cli_hint("did you mean '%s'? 'autoglm help' lists the commands", found);
    else
        ag_cli_hint(is_option ? "options follow a command: autoglm COMMAND [OPTION]..."
                              : "'autoglm help' lists the commands");
    ag_buf_deinit(&names);
    return AG_CLI_USAGE;
}

static int dispatch(int argc, char **argv) {
    if (argc < 2) {
        ag_cli_note("a command is missing");
        ag_cli_hint("'autoglm help' lists the commands; 'autoglm chat -m MODEL' talks to a model");
        return AG_CLI_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        ag_cli_help(NULL);
        return AG_CLI_DONE;
    }
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
        word = "version";
    const ag_cli_command *c = ag_cli_find(word);
    if (!c)
        return unknown_command(word);
    static ag_cli_args args;
    int status = ag_cli_parse(c, argc - 2, argv + 2, &args);
    if (status)
        return status;
    if (args.help) {
        ag_cli_help(c);
        return AG_CLI_DONE;
    }
    args.argv = argv + 2;
    args.argc = argc - 2;
    return c->run(&args);
}

int main(int argc, char **argv) {
    fill_descriptors();
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is seen where writing fails */
    return ag_cli_out_finish(dispatch(argc, argv));
}
