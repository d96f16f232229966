#include "cli/complete.h"

#include <string.h>

#include "cli/args.h"
#include "cli/out.h"

typedef void (*each_opt)(const ag_cli_command *c, const ag_cli_opt *o);

static void for_opts(const ag_cli_command *c, each_opt fn) {
    for (int g = 0; g < AG_CLI_MAX_GROUPS && c->groups[g].opts; g++)
        for (const ag_cli_opt *o = c->groups[g].opts; o->name; o++)
            fn(c, o);
}

static void command_names(void) {
    bool first = true;
    for (const ag_cli_command *c = ag_cli_commands; c->name; c++) {
        if (c->hidden)
            continue;
        ag_cli_out("%s%s", first ? "" : " ", c->name);
        first = false;
    }
}

static bool takes_words(const ag_cli_command *c) { return strcmp(c->name, "help") == 0; }

/* ---- bash ------------------------------------------------------------------------------------ */

static void bash_name(const ag_cli_command *c, const ag_cli_opt *o) {
    (void)c;
    ag_cli_out(" --%s", o->name);
    if (o->letter)
        ag_cli_out(" -%c", o->letter);
}

/* What may follow an option, as a case of "command:previous word". */
static void bash_value(const ag_cli_command *c, const ag_cli_opt *o) {
    if (o->kind == AG_CLI_FLAG)
        return;
    ag_cli_out("    %s:--%s", c->name, o->name);
    if (o->letter)
        ag_cli_out(" | %s:-%c", c->name, o->letter);
    if (o->kind == AG_CLI_PATH)
        ag_cli_out(") COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n");
    else if (o->kind == AG_CLI_CHOICE)
        ag_cli_out(") COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")); return ;;\n", o->choices);
    else
        ag_cli_out(") return ;;\n");
}

void ag_cli_complete_bash(void) {
    ag_cli_out("# bash completion for autoglm\n_autoglm() {\n"
               "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
               "  local cmd=${COMP_WORDS[1]}\n  COMPREPLY=()\n"
               "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    COMPREPLY=($(compgen -W \"");
    command_names();
    ag_cli_out(" --help --version\" -- \"$cur\"))\n    return\n  fi\n  case \"$cmd:$prev\" in\n");
    for (const ag_cli_command *c = ag_cli_commands; c->name; c++)
        if (!c->hidden)
            for_opts(c, bash_value);
    ag_cli_out("  esac\n  case \"$cmd:$cur\" in\n");
    for (const ag_cli_command *c = ag_cli_commands; c->name; c++) {
        if (c->hidden)
            continue;
        ag_cli_out("    %s:-*) COMPREPLY=($(compgen -W \"--help -h", c->name);
        for_opts(c, bash_name);
        ag_cli_out("\" -- \"$cur\")) ;;\n");
        if (takes_words(c)) {
            ag_cli_out("    %s:*) COMPREPLY=($(compgen -W \"", c->name);
            command_names();
            ag_cli_out("\" -- \"$cur\")) ;;\n");
        } else if (c->words) {
            ag_cli_out(
                "    %s:*) if [ \"$COMP_CWORD\" -eq 2 ]; then COMPREPLY=($(compgen -W \"%s\" "
                "-- \"$cur\"))\n      else COMPREPLY=($(compgen -f -- \"$cur\")); fi ;;\n",
                c->name, c->words);
        } else if (c->completes_files) {
            ag_cli_out("    %s:*) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n", c->name);
        }
    }
    ag_cli_out("  esac\n}\ncomplete -o filenames -F _autoglm autoglm\n");
}

/* ---- zsh ------------------------------------------------------------------------------------- */

/* A description inside '...' and [...] of an _arguments spec. */
static void zsh_text(const char *s) {
    for (; *s; s++) {
        if (*s == '\'')
            ag_cli_out("'\\''");
        else if (strchr("[]:\\", *s))
            ag_cli_out("\\%c", *s);
        else
            ag_cli_out("%c", *s);
    }
}

static void zsh_action(const ag_cli_opt *o) {
    if (o->kind == AG_CLI_FLAG)
        return;
    ag_cli_out(":%s:", o->kind == AG_CLI_PATH ? "file" : "value");
    if (o->kind == AG_CLI_PATH)
        ag_cli_out("_files");
    else if (o->kind == AG_CLI_CHOICE)
        ag_cli_out("(%s)", o->choices);
}

static void zsh_opt(const ag_cli_command *c, const ag_cli_opt *o) {
    (void)c;
    const char *many = o->kind == AG_CLI_LIST ? "*" : "";
    ag_cli_out(" \\\n        '%s--%s%s[", many, o->name, o->kind == AG_CLI_FLAG ? "" : "=");
    zsh_text(o->help);
    ag_cli_out("]");
    zsh_action(o);
    ag_cli_out("'");
    if (o->letter) {
        ag_cli_out(" \\\n        '-%c%s[", o->letter, o->kind == AG_CLI_FLAG ? "" : "+");
        zsh_text(o->help);
        ag_cli_out("]");
        zsh_action(o);
        ag_cli_out("'");
    }
}

void ag_cli_complete_zsh(void) {
    ag_cli_out("#compdef autoglm\n_autoglm() {\n  local -a commands\n  commands=(\n");
    for (const ag_cli_command *c = ag_cli_commands; c->name; c++) {
        if (c->hidden)
            continue;
        ag_cli_out("    '%s:", c->name);
        zsh_text(c->summary);
        ag_cli_out("'\n");
    }
    ag_cli_out("  )\n  if (( CURRENT == 2 )); then\n    _describe command commands\n    return\n"
               "  fi\n  local cmd=$words[2]\n  shift words\n  (( CURRENT-- ))\n  case $cmd in\n");
    for (const ag_cli_command *c = ag_cli_commands; c->name; c++) {
        if (c->hidden)
            continue;
        ag_cli_out("    %s)\n      _arguments -S '(-h --help)'{-h,--help}'[show help]'", c->name);
        for_opts(c, zsh_opt);
        if (takes_words(c))
            ag_cli_out(" \\\n        '1:command:(($commands))'");
        else if (c->words)
            ag_cli_out(" \\\n        '1:action:(%s)' '*:file:_files'", c->words);
        else if (c->completes_files)
            ag_cli_out(" \\\n        '1:file:_files'");
        else if (c->max_pos > 0)
            ag_cli_out(" \\\n        '1:text:'");
        ag_cli_out("\n      ;;\n");
    }
    ag_cli_out("  esac\n}\n"
               "if [ \"$funcstack[1]\" = _autoglm ]; then _autoglm \"$@\"; else compdef _autoglm "
               "autoglm; fi\n");
}

/* ---- fish ------------------------------------------------------------------------------------ */

static void fish_text(const char *s) {
    for (; *s; s++)
        ag_cli_out(*s == '\'' || *s == '\\' ? "\\%c" : "%c", *s);
}

static void fish_opt(const ag_cli_command *c, const ag_cli_opt *o) {
    ag_cli_out("complete -c autoglm -n '__fish_seen_subcommand_from %s' -l %s", c->name, o->name);
    if (o->letter)
        ag_cli_out(" -s %c", o->letter);
    if (o->kind == AG_CLI_PATH)
        ag_cli_out(" -r -F");
    else if (o->kind == AG_CLI_CHOICE)
        ag_cli_out(" -x -a '%s'", o->choices);
    else if (o->kind != AG_CLI_FLAG)
        ag_cli_out(" -x");
    ag_cli_out(" -d '");
    fish_text(o->help);
    ag_cli_out("'\n");
}

void ag_cli_complete_fish(void) {
    ag_cli_out("# fish completion for autoglm\ncomplete -c autoglm -f\n");
    for (const ag_cli_command *c = ag_cli_commands; c->name; c++) {
        if (c->hidden)
            continue;
        ag_cli_out("complete -c autoglm -n __fish_use_subcommand -a %s -d '", c->name);
        fish_text(c->summary);
        ag_cli_out("'\ncomplete -c autoglm -n '__fish_seen_subcommand_from %s' -s h -l help -d "
                   "'show help'\n",
                   c->name);
        for_opts(c, fish_opt);
        if (takes_words(c)) {
            ag_cli_out("complete -c autoglm -n '__fish_seen_subcommand_from help' -a '");
            command_names();
            ag_cli_out("'\n");
        }
        if (c->words)
            ag_cli_out("complete -c autoglm -n '__fish_seen_subcommand_from %s' -a '%s'\n", c->name,
                       c->words);
        if (c->completes_files)
            ag_cli_out("complete -c autoglm -n '__fish_seen_subcommand_from %s' -F\n", c->name);
    }
}
