/* --help from the table. */
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/out.h"
#include "kernels/cpu.h"

#define WIDTH    80
#define HELP_COL 30

/* Print words of `text` with line breaks before column WIDTH; later lines begin at `indent`. `col`
 * is where the cursor stands now. "\n\n" starts a paragraph. */
static void wrap(const char *text, int indent, int col) {
    bool first = true;
    while (*text) {
        if (text[0] == '\n') {
            ag_cli_out("\n\n%*s", indent, "");
            col = indent;
            first = true;
            text += strspn(text, "\n");
        }
        size_t n = strcspn(text, " \n");
        if (!first && col + 1 + (int)n > WIDTH) {
            ag_cli_out("\n%*s", indent, "");
            col = indent;
            first = true;
        }
        ag_cli_out("%s%.*s", first ? "" : " ", (int)n, text);
        col += (int)n + !first;
        first = false;
        text += n;
        text += strspn(text, " ");
    }
    ag_cli_out("\n");
}

static void option_line(const ag_cli_opt *o) {
    char left[96], right[512];
    int n = snprintf(left, sizeof left, "  %c%c%s --%s%s%s", o->letter ? '-' : ' ',
                     o->letter ? o->letter : ' ', o->letter ? "," : " ", o->name, o->arg ? " " : "",
                     o->arg ? o->arg : "");
    snprintf(right, sizeof right, "%s%s%s%s%s%s%s", o->help, o->choices ? " (" : "",
             o->choices ? o->choices : "", o->choices ? ")" : "", o->initial ? " [" : "",
             o->initial ? o->initial : "", o->initial ? "]" : "");
    ag_cli_out("%s", left);
    if (n > HELP_COL - 2)
        ag_cli_out("\n%*s", HELP_COL, "");
    else
        ag_cli_out("%*s", HELP_COL - n, "");
    wrap(right, HELP_COL, HELP_COL);
}

static void overview(void) {
    ag_cli_out("Usage: autoglm COMMAND [OPTION]...\n\nRun and study large language models on this "
               "machine.\n\nCommands:\n");
    for (const ag_cli_command *c = ag_cli_commands; c->name; c++)
        if (!c->hidden)
            ag_cli_out("  %-10s %s\n", c->name, c->summary);
    ag_cli_out("\n'autoglm COMMAND --help' shows a command's options and examples.\n\n"
               "Environment:\n"
               "  AUTOGLM_MODEL     the model when -m is not given\n"
               "  AUTOGLM_REGISTRY  where the names of models are kept\n"
               "  AUTOGLM_ISA       ");
    wrap("use at most these CPU instructions: " AG_TIER_WORDS, 20, 20);
    ag_cli_out(
        "  NO_COLOR          no colours and no progress bar\n\n"
        "Exit status: 0 done, 1 failed, 2 wrong usage; 130 when Ctrl-C was pressed twice.\n");
}

void ag_cli_help(const ag_cli_command *c) {
    if (!c) {
        overview();
        return;
    }
    ag_cli_out("Usage: autoglm %s %s\n\n", c->name, c->usage);
    wrap(c->about, 0, 0);
    for (int g = 0; g < AG_CLI_MAX_GROUPS && c->groups[g].opts; g++) {
        ag_cli_out("\n%s:\n", c->groups[g].title);
        for (const ag_cli_opt *o = c->groups[g].opts; o->name; o++)
            option_line(o);
        if (g == 0)
            ag_cli_out("  -h, --help%*sshow this help\n", HELP_COL - 12, "");
    }
    ag_cli_out("\nExamples:\n");
    for (const char *at = c->examples; *at;) {
        size_t n = strcspn(at, "\n");
        ag_cli_out("  %.*s\n", (int)n, at);
        at += n + (at[n] == '\n');
    }
}

int ag_cli_help_command(const ag_cli_args *a) {
    const ag_cli_command *c = NULL;
    if (a->n_pos == 1) {
        c = ag_cli_find(a->pos[0]);
        if (!c) {
            ag_cli_note("help: unknown command \"%s\"", a->pos[0]);
            ag_cli_hint("'autoglm help' lists the commands");
            return AG_CLI_USAGE;
        }
    }
    ag_cli_help(c);
    return AG_CLI_DONE;
}
