/* Man pages and docs/cli.md from the table, for packaging and the documentation. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "autoglm/version.h"
#include "base/file.h"
#include "cli/args.h"
#include "cli/complete.h"
#include "cli/gen_pages.h"
#include "cli/out.h"
#include "kernels/cpu.h"

#define STR_(x) #x
#define STR(x)  STR_(x)
#define VERSION STR(AG_VERSION_MAJOR) "." STR(AG_VERSION_MINOR) "." STR(AG_VERSION_PATCH)

/* ---- man pages ------------------------------------------------------------------------------- */

/* Text for roff: backslashes, dashes and lines that would be requests are escaped. */
static void roff(ag_buf *b, const char *s, size_t n) {
    bool line_start = b->n == 0 || b->p[b->n - 1] == '\n';
    for (size_t i = 0; i < n; i++) {
        if (line_start && (s[i] == '.' || s[i] == '\''))
            ag_buf_adds(b, "\\&");
        if (s[i] == '\\')
            ag_buf_adds(b, "\\e");
        else if (s[i] == '-')
            ag_buf_adds(b, "\\-");
        else if (s[i] == '\'')
            ag_buf_adds(b, "\\(aq");
        else
            ag_buf_addc(b, s[i]);
        line_start = s[i] == '\n';
    }
}

static void roffs(ag_buf *b, const char *s) { roff(b, s, strlen(s)); }

static void roff_paragraphs(ag_buf *b, const char *text) {
    while (*text) {
        const char *end = strstr(text, "\n\n");
        size_t n = end ? (size_t)(end - text) : strlen(text);
        roff(b, text, n);
        ag_buf_adds(b, end ? "\n.PP\n" : "\n");
        text += n + (end ? 2 : 0);
    }
}

static void man_option(ag_buf *b, const ag_cli_opt *o) {
    ag_buf_adds(b, ".TP\n");
    if (o->letter)
        ag_buf_addf(b, "\\fB\\-%c\\fR, ", o->letter);
    ag_buf_adds(b, "\\fB\\-\\-");
    roffs(b, o->name);
    ag_buf_adds(b, "\\fR");
    if (o->arg) {
        ag_buf_adds(b, " \\fI");
        roffs(b, o->arg);
        ag_buf_adds(b, "\\fR");
    }
    ag_buf_adds(b, "\n");
    roffs(b, o->help);
    if (o->choices) {
        ag_buf_adds(b, " (");
        roffs(b, o->choices);
        ag_buf_adds(b, ")");
    }
    if (o->initial) {
        ag_buf_adds(b, ". Default: ");
        roffs(b, o->initial);
    }
    ag_buf_adds(b, ".\n");
}

static void man_common_end(ag_buf *b) {
    ag_buf_adds(b,
                ".SH ENVIRONMENT\n"
                ".TP\n\\fBAUTOGLM_MODEL\\fR\nThe model when \\-m is not given.\n"
                ".TP\n\\fBAUTOGLM_REGISTRY\\fR\nWhere the names of models are kept.\n"
                ".TP\n\\fBAUTOGLM_ISA\\fR\nUse at most these CPU instructions: " AG_TIER_WORDS ".\n"
                ".TP\n\\fBNO_COLOR\\fR\nNo colours and no progress bar.\n"
                ".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage; 130 when Ctrl\\-C was "
                "pressed twice.\n");
}

static void man_command(ag_buf *b, const ag_cli_command *c) {
    ag_buf_adds(b, ".TH AUTOGLM\\-");
    for (const char *s = c->name; *s; s++)
        ag_buf_addc(b, (char)toupper((unsigned char)*s));
    ag_buf_adds(b, " 1 \"\" \"autoglm " VERSION "\" \"User Commands\"\n");
    ag_buf_addf(b, ".SH NAME\nautoglm\\-%s \\- ", c->name);
    roffs(b, c->summary);
    ag_buf_addf(b, "\n.SH SYNOPSIS\n\\fBautoglm %s\\fR ", c->name);
    roffs(b, c->usage);
    ag_buf_adds(b, "\n.SH DESCRIPTION\n");
    roff_paragraphs(b, c->about);
    for (int g = 0; g < AG_CLI_MAX_GROUPS && c->groups[g].opts; g++) {
        ag_buf_addf(b, "%s \"%s\"\n", g == 0 ? ".SH OPTIONS\n.SS" : ".SS", c->groups[g].title);
        for (const ag_cli_opt *o = c->groups[g].opts; o->name; o++)
            man_option(b, o);
    }
    ag_buf_adds(b, ".SH EXAMPLES\n.nf\n");
    roffs(b, c->examples);
    ag_buf_adds(b, ".fi\n");
    man_common_end(b);
    ag_buf_adds(b, ".SH SEE ALSO\n\\fBautoglm\\fR(1)\n");
}

static void man_overview(ag_buf *b) {
    ag_buf_adds(b, ".TH AUTOGLM 1 \"\" \"autoglm " VERSION "\" \"User Commands\"\n"
                   ".SH NAME\nautoglm \\- run and study large language models on this machine\n"
                   ".SH SYNOPSIS\n\\fBautoglm\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR]...\n"
                   ".SH COMMANDS\n");
    for (const ag_cli_command *c = ag_cli_commands; c->name; c++) {
        if (c->hidden)
            continue;
        ag_buf_addf(b, ".TP\n\\fBautoglm\\-%s\\fR(1)\n", c->name);
        roffs(b, c->summary);
        ag_buf_adds(b, ".\n");
    }
    man_common_end(b);
}

static int write_man(const char *dir, const ag_cli_command *c) {
    ag_buf page, path;
    ag_err err = {0};
    ag_buf_init(&page, AG_ROOM_CLI, 1 << 20);
    ag_buf_init(&path, AG_ROOM_CLI, 4096);
    if (c)
        man_command(&page, c);
    else
        man_overview(&page);
    ag_buf_addf(&path, "%s/autoglm%s%s.1", dir, c ? "-" : "", c ? c->name : "");
    ag_code code = ag_buf_check(&page, "a man page", &err);
    if (!code)
        code = ag_buf_check(&path, "the path", &err);
    const char *name = ag_buf_cstr(&path);
    if (!code && !name)
        code = ag_buf_check(&path, "the path", &err);
    if (!code)
        code = ag_file_write(name, ag_buf_span(&page), &err);
    ag_buf_deinit(&page);
    ag_buf_deinit(&path);
    return code ? ag_cli_fail(&err) : AG_CLI_DONE;
}

static int gen_man(const char *dir) {
    int status = write_man(dir, NULL);
    for (const ag_cli_command *c = ag_cli_commands; c->name && !status; c++)
        if (!c->hidden)
            status = write_man(dir, c);
    return status;
}

/* ---- docs/cli.md ----------------------------------------------------------------------------- */

/* Text inside a Markdown table cell. */
static void cell(const char *s) {
    for (; *s; s++)
        ag_cli_out(*s == '|' ? "\\|" : *s == '*' ? "\\*" : *s == '<' ? "&lt;" : "%c", *s);
}

static void markdown_group(const ag_cli_group *group) {
    ag_cli_out("\n%s:\n\n| option | meaning | default |\n| --- | --- | --- |\n", group->title);
    for (const ag_cli_opt *o = group->opts; o->name; o++) {
        ag_cli_out("| `");
        if (o->letter)
            ag_cli_out("-%c`, `", o->letter);
        ag_cli_out("--%s", o->name);
        if (o->arg) {
            ag_cli_out(" ");
            for (const char *s = o->arg; *s; s++)
                ag_cli_out(*s == '|' ? "\\|" : "%c", *s);
        }
        ag_cli_out("` | ");
        cell(o->help);
        if (o->choices)
            ag_cli_out(" (%s)", o->choices);
        ag_cli_out(" | ");
        cell(o->initial ? o->initial : "");
        ag_cli_out(" |\n");
    }
}

static void gen_markdown(void) {
    ag_cli_out("# The command\n\nMade by `autoglm gen markdown` from the table in "
               "`src/cli/table.c`; `--help`, the man pages and the shell completions come from the "
               "same table.\n\n| command | purpose |\n| --- | --- |\n");
    for (const ag_cli_command *c = ag_cli_commands; c->name; c++)
        if (!c->hidden)
            ag_cli_out("| [`autoglm %s`](#autoglm-%s) | %s |\n", c->name, c->name, c->summary);
    ag_cli_out(
        "\nExit status: 0 done, 1 failed, 2 wrong usage; 130 when Ctrl-C was pressed twice. A "
        "failure is told in one line on standard error that begins with `autoglm:`, often followed "
        "by a line that begins with `hint:`. When the reader of standard output goes away (`| "
        "head`) the command ends quietly.\n\nEnvironment: `AUTOGLM_MODEL` names the model when "
        "`-m` is not given, `AUTOGLM_REGISTRY` the file with the names of models, `AUTOGLM_ISA` "
        "caps the CPU instructions used (" AG_TIER_WORDS
        "), `NO_COLOR` turns colours and the progress bar off. Options are GNU "
        "style: `-t4`, `-t 4`, `--threads=4` and `--threads 4` mean the same, and `--` ends "
        "them.\n");
    for (const ag_cli_command *c = ag_cli_commands; c->name; c++) {
        if (c->hidden)
            continue;
        ag_cli_out("\n## autoglm %s\n\n    autoglm %s %s\n\n%s\n", c->name, c->name, c->usage,
                   c->about);
        for (int g = 0; g < AG_CLI_MAX_GROUPS && c->groups[g].opts; g++)
            markdown_group(&c->groups[g]);
        ag_cli_out("\nExamples:\n\n```sh\n%s```\n", c->examples);
    }
}

int ag_cli_gen(const ag_cli_args *a) {
    const char *what = a->pos[0];
    bool is_man = strcmp(what, "man") == 0;
    if (is_man != (a->n_pos == 2))
        return ag_cli_usage(is_man ? "gen man: needs a directory" : "gen: too many arguments");
    if (is_man)
        return gen_man(a->pos[1]);
    if (strcmp(what, "bash") == 0)
        ag_cli_complete_bash();
    else if (strcmp(what, "zsh") == 0)
        ag_cli_complete_zsh();
    else if (strcmp(what, "fish") == 0)
        ag_cli_complete_fish();
    else if (strcmp(what, "markdown") == 0)
        gen_markdown();
    else if (strcmp(what, "config") == 0)
        ag_cli_gen_config();
    else if (strcmp(what, "metrics") == 0)
        ag_cli_gen_metrics();
    else if (strcmp(what, "schema") == 0)
        ag_cli_gen_schema();
    else
        return ag_cli_usage(
            "gen: expected one of man bash zsh fish markdown config metrics schema, "
            "found \"%s\"",
            what);
    return AG_CLI_DONE;
}
