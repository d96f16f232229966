/* Parsing of the command line against the table. Mistakes are told in one line with the nearest
 * thing that would have been right. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/near.h"
#include "cli/args.h"
#include "cli/out.h"

/* ---- suggestions ----------------------------------------------------------------------------- */

const char *ag_cli_nearest(const char *word, const char *list, char near[64]) {
    size_t best = SIZE_MAX;
    const char *found = NULL;
    while (*list) {
        size_t len = strcspn(list, " ");
        size_t d = ag_near(ag_str(word), ag_span_of(list, len));
        if (d < best && len < 64) {
            best = d;
            memcpy(near, list, len);
            near[len] = '\0';
            found = near;
        }
        list += len;
        list += strspn(list, " ");
    }
    return found;
}

static int unknown_option(const ag_cli_command *c, const char *name, size_t n) {
    ag_buf all;
    char word[64], near[64];
    snprintf(word, sizeof word, "%.*s", (int)(n < 63 ? n : 63), name);
    ag_buf_init(&all, AG_ROOM_CLI, 65536);
    for (int g = 0; g < AG_CLI_MAX_GROUPS && c->groups[g].opts; g++)
        for (const ag_cli_opt *o = c->groups[g].opts; o->name; o++)
            ag_buf_addf(&all, "%s ", o->name);
    ag_buf_adds(&all, "help");
    const char *list = ag_buf_cstr(&all);
    const char *found = list ? ag_cli_nearest(word, list, near) : NULL;
    ag_cli_note("%s: unknown option --%.*s", c->name, (int)(n < 200 ? n : 200), name);
    if (found)
        ag_cli_hint("did you mean --%s? 'autoglm %s --help' lists all options", found, c->name);
    else
        ag_cli_hint("'autoglm %s --help' lists all options", c->name);
    ag_buf_deinit(&all);
    return AG_CLI_USAGE;
}

/* ---- values ---------------------------------------------------------------------------------- */

static int bad_number(const ag_cli_opt *o, const char *value, bool whole) {
    if (o->kind == AG_CLI_U64)
        return ag_cli_usage("--%s: expected a whole number from 0 to 18446744073709551615, found "
                            "\"%s\"",
                            o->name, value);
    return ag_cli_usage("--%s: expected a %snumber from %.10g to %.10g, found \"%s\"", o->name,
                        whole ? "whole " : "", o->min, o->max, value);
}

static int set_whole(const ag_cli_opt *o, const char *value, void *to) {
    char *end = NULL;
    errno = 0;
    if (o->kind == AG_CLI_U64) {
        unsigned long long v = strtoull(value, &end, 10);
        if (errno || end == value || *end || value[0] < '0' || value[0] > '9')
            return bad_number(o, value, true);
        *(uint64_t *)to = v;
        return AG_CLI_DONE;
    }
    long long v = strtoll(value, &end, 10);
    if (errno || end == value || *end || (double)v < o->min || (double)v > o->max)
        return bad_number(o, value, true);
    if (o->kind == AG_CLI_U32)
        *(uint32_t *)to = (uint32_t)v;
    else
        *(int32_t *)to = (int32_t)v;
    return AG_CLI_DONE;
}

static int set_number(const ag_cli_opt *o, const char *value, void *to) {
    char *end = NULL;
    double v = strtod(value, &end);
    if (end == value || *end || !isfinite(v) || v < o->min || v > o->max)
        return bad_number(o, value, false);
    if (o->kind == AG_CLI_F32)
        *(float *)to = (float)v;
    else
        *(double *)to = v;
    return AG_CLI_DONE;
}

static int set_choice(const ag_cli_opt *o, const char *value, const char **to) {
    for (const char *at = o->choices; *at; at += strspn(at, " ")) {
        size_t n = strcspn(at, " ");
        if (strlen(value) == n && memcmp(at, value, n) == 0) {
            *to = value;
            return AG_CLI_DONE;
        }
        at += n;
    }
    char near[64];
    const char *found = ag_cli_nearest(value, o->choices, near);
    ag_cli_note("--%s: expected one of %s, found \"%s\"", o->name, o->choices, value);
    if (found)
        ag_cli_hint("did you mean %s?", found);
    return AG_CLI_USAGE;
}

static int set_list(const ag_cli_opt *o, const char *value, ag_cli_list *to) {
    if (to->n == AG_CLI_MAX_LIST)
        return ag_cli_usage("--%s: given more than %d times", o->name, AG_CLI_MAX_LIST);
    to->v[to->n++] = value;
    return AG_CLI_DONE;
}

/* value is NULL for flags. */
static int set(ag_cli_args *a, const ag_cli_opt *o, const char *value) {
    void *to = (char *)a + o->at;
    if (a->n_seen < AG_CLI_MAX_SEEN)
        a->seen[a->n_seen++] = o;
    switch (o->kind) {
    case AG_CLI_FLAG:
        *(bool *)to = true;
        return AG_CLI_DONE;
    case AG_CLI_U32:
    case AG_CLI_I32:
    case AG_CLI_U64:
        return set_whole(o, value, to);
    case AG_CLI_F32:
    case AG_CLI_F64:
        return set_number(o, value, to);
    case AG_CLI_CHOICE:
        return set_choice(o, value, to);
    case AG_CLI_LIST:
        return set_list(o, value, to);
    case AG_CLI_TEXT:
    case AG_CLI_PATH:
        break;
    }
    *(const char **)to = value;
    return AG_CLI_DONE;
}

/* ---- walking argv ---------------------------------------------------------------------------- */

typedef struct walk {
    const ag_cli_command *c;
    char **argv;
    int argc, at; /* argv[at] is the word in hand */
    ag_cli_args *a;
} walk;

static int parse_long(walk *w, const char *word) {
    size_t n = strcspn(word, "=");
    const char *value = word[n] == '=' ? word + n + 1 : NULL;
    if (n == 4 && memcmp(word, "help", 4) == 0 && !value) {
        w->a->help = true;
        return AG_CLI_DONE;
    }
    const ag_cli_opt *o = ag_cli_find_opt(w->c, word, n, 0);
    if (!o)
        return unknown_option(w->c, word, n);
    if (o->kind == AG_CLI_FLAG && value)
        return ag_cli_usage("--%s takes no value, found \"%s\"", o->name, value);
    if (o->kind != AG_CLI_FLAG && !value) {
        if (w->at + 1 >= w->argc)
            return ag_cli_usage("--%s needs a value: --%s %s", o->name, o->name, o->arg);
        value = w->argv[++w->at];
    }
    return set(w->a, o, value);
}

/* "-t4", "-t 4", "-vq": letters until one takes the rest, or the next word, as its value. */
static int parse_letters(walk *w, const char *word) {
    int status = AG_CLI_DONE;
    for (; *word && !status; word++) {
        if (*word == 'h' && !ag_cli_find_opt(w->c, NULL, 0, 'h')) {
            w->a->help = true;
            continue;
        }
        const ag_cli_opt *o = ag_cli_find_opt(w->c, NULL, 0, *word);
        if (!o) {
            ag_cli_note("%s: unknown option -%c", w->c->name, *word);
            ag_cli_hint("'autoglm %s --help' lists all options", w->c->name);
            return AG_CLI_USAGE;
        }
        if (o->kind == AG_CLI_FLAG) {
            status = set(w->a, o, NULL);
            continue;
        }
        const char *value = word + 1;
        if (!*value) {
            if (w->at + 1 >= w->argc)
                return ag_cli_usage("-%c needs a value: -%c %s", o->letter, o->letter, o->arg);
            value = w->argv[++w->at];
        }
        return set(w->a, o, value);
    }
    return status;
}

static int check_positional(const ag_cli_command *c, const ag_cli_args *a) {
    if (a->n_pos > c->max_pos) {
        ag_cli_note("%s: unexpected argument \"%s\"", c->name, a->pos[c->max_pos]);
        if (c->max_pos > 0)
            ag_cli_hint("put quotes around a text of several words");
        else
            ag_cli_hint("usage: autoglm %s %s", c->name, c->usage);
        return AG_CLI_USAGE;
    }
    if (a->n_pos < c->min_pos) {
        ag_cli_note("%s: an argument is missing", c->name);
        ag_cli_hint("usage: autoglm %s %s", c->name, c->usage);
        return AG_CLI_USAGE;
    }
    return AG_CLI_DONE;
}

int ag_cli_parse(const ag_cli_command *c, int argc, char **argv, ag_cli_args *a) {
    /* The defaults that differ from zero; `initial` in the table says them in words. */
    *a = (ag_cli_args){
        .command = c,
        .port = 8000,
        .drain_seconds = 30,
        .temp = 0.7f,
        .top_k = 40,
        .top_p = 0.95f,
        .min_p = 0.05f,
        .typical = 1.0f,
        .repeat_penalty = 1.0f,
        .repeat_last_n = 64,
        .mirostat_tau = 5.0f,
        .mirostat_eta = 0.1f,
        .dry_base = 1.75f,
        .dry_allowed_length = 2,
        .dry_last_n = -1,
        .xtc_threshold = 0.1f,
        .npp = 128,
        .ntg = 32,
        .reps = 3,
    };
    walk w = {.c = c, .argv = argv, .argc = argc, .a = a};
    bool only_positional = false;
    int status = AG_CLI_DONE;
    for (; w.at < argc && !status; w.at++) {
        const char *word = argv[w.at];
        if (only_positional || word[0] != '-' || word[1] == '\0') {
            if (a->n_pos == AG_CLI_MAX_LIST)
                return ag_cli_usage("%s: too many arguments", c->name);
            a->pos[a->n_pos++] = word;
        } else if (strcmp(word, "--") == 0) {
            only_positional = true;
        } else {
            status = word[1] == '-' ? parse_long(&w, word + 2) : parse_letters(&w, word + 1);
        }
    }
    if (status || a->help)
        return status;
    return check_positional(c, a);
}
