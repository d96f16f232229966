/* The slash commands of autoglm chat: one table, which /help prints. */
#include <string.h>

#include "base/file.h"
#include "cli/chat.h"
#include "cli/input.h"
#include "cli/out.h"

typedef struct command {
    const char *name, *arg, *help;
    ag_cli_verdict (*run)(ag_cli_chatter *c, const char *arg);
} command;

static ag_cli_verdict do_read(ag_cli_chatter *c, const char *path) {
    ag_buf text;
    ag_err err = {0};
    if (!*path) {
        ag_cli_note("/read needs a file: /read FILE");
        return AG_CLI_GO_ON;
    }
    ag_buf_init(&text, AG_ROOM_CLI, AG_CLI_EDIT_MAX);
    ag_code code = ag_file_read(path, &text, &err);
    if (!code)
        code = ag_cli_check_utf8(ag_buf_span(&text), path, &err);
    size_t before = c->attached.n;
    if (!code) {
        ag_buf_addf(&c->attached, "%s:\n\n", path);
        ag_buf_add(&c->attached, text.p, text.n);
        ag_buf_adds(&c->attached, "\n\n");
        code = ag_buf_check(&c->attached, "what was read", &err);
    }
    if (code) {
        c->attached.n = before;
        c->attached.failed = c->attached.over = false;
        c->failed = true;
        ag_cli_fail(&err);
    } else {
        ag_cli_note("%s: %zu bytes go with the next message", path, text.n);
    }
    ag_buf_deinit(&text);
    return AG_CLI_GO_ON;
}

static ag_cli_verdict do_system(ag_cli_chatter *c, const char *text) {
    ag_err err = {0};
    if (ag_cli_convo_system(&c->convo, text, &err))
        ag_cli_fail(&err);
    else
        ag_cli_note(*text ? "the system message is set" : "the system message is removed");
    return AG_CLI_GO_ON;
}

static ag_cli_verdict do_regen(ag_cli_chatter *c, const char *arg) {
    (void)arg;
    size_t n = c->convo.n;
    if (n == 0) {
        ag_cli_note("there is nothing to answer again");
        return AG_CLI_GO_ON;
    }
    if (strcmp(c->convo.messages[n].role, "assistant") == 0)
        ag_cli_convo_pop(&c->convo);
    ag_cli_chat_answer(c);
    return AG_CLI_GO_ON;
}

static ag_cli_verdict do_clear(ag_cli_chatter *c, const char *arg) {
    (void)arg;
    ag_cli_convo_clear(&c->convo);
    c->attached.n = 0;
    ag_cli_note("the conversation is empty");
    return AG_CLI_GO_ON;
}

static ag_cli_verdict do_stats(ag_cli_chatter *c, const char *arg) {
    (void)arg;
    char weights[AG_CLI_SIZE_TEXT], kv[AG_CLI_SIZE_TEXT], scratch[AG_CLI_SIZE_TEXT];
    const ag_result *r = &c->answer.result;
    ag_cli_out("model     ");
    ag_cli_out_name(ag_str(c->info.name));
    ag_cli_out(" (%s), %s kernels, %u threads\n", c->info.architecture, c->info.isa,
               c->info.n_threads);
    ag_cli_out("memory    weights %s, KV %s, scratch %s\n",
               ag_cli_size(c->info.weight_bytes, weights), ag_cli_size(c->info.kv_bytes, kv),
               ag_cli_size(c->info.scratch_bytes, scratch));
    ag_cli_out("context   %u of %u tokens used by the latest exchange\n",
               r->n_prompt + r->n_generated, c->info.context_length);
    ag_cli_out("so far    %llu answers, %llu prompt tokens, %llu answer tokens\n",
               (unsigned long long)c->n_answers, (unsigned long long)c->n_prompt,
               (unsigned long long)c->n_generated);
    if (c->n_answers > 0) {
        char speed[AG_CLI_SPEED_TEXT];
        ag_cli_speed_text(r, speed);
        ag_cli_out("latest    %s\n", speed);
    }
    return AG_CLI_GO_ON;
}

static ag_cli_verdict do_help(ag_cli_chatter *c, const char *arg);

static ag_cli_verdict do_exit(ag_cli_chatter *c, const char *arg) {
    (void)c;
    (void)arg;
    return AG_CLI_STOP;
}

static const command commands[] = {
    {"read", "FILE", "add a file to the next message", do_read},
    {"system", "TEXT", "set the system message; without TEXT remove it", do_system},
    {"regen", "", "answer the last message again", do_regen},
    {"clear", "", "forget the conversation, keep the system message", do_clear},
    {"stats", "", "show speed, memory and context", do_stats},
    {"help", "", "show this", do_help},
    {"exit", "", "leave, as Ctrl-D does", do_exit},
    {"quit", "", "the same", do_exit},
};
#define N_COMMANDS (sizeof commands / sizeof *commands)

static ag_cli_verdict do_help(ag_cli_chatter *c, const char *arg) {
    (void)c;
    (void)arg;
    for (size_t i = 0; i < N_COMMANDS; i++)
        ag_cli_out("  /%s %-*s %s\n", commands[i].name, (int)(12 - strlen(commands[i].name)),
                   commands[i].arg, commands[i].help);
    ag_cli_out("A message goes on where a line ends in \\, and between \"\"\" and \"\"\". A line "
               "that begins with // is sent with one slash.\n"
               "Ctrl-C stops an answer, a second one leaves.\n");
    return AG_CLI_GO_ON;
}

static void tell_unknown(const char *name) {
    char near[64];
    ag_buf names;
    ag_buf_init(&names, AG_ROOM_CLI, 1024);
    for (size_t i = 0; i < N_COMMANDS; i++)
        ag_buf_addf(&names, "%s%s", i ? " " : "", commands[i].name);
    const char *list = ag_buf_cstr(&names);
    const char *found = list ? ag_cli_nearest(name, list, near) : NULL;
    ag_cli_note("unknown command /%s", name);
    if (found)
        ag_cli_hint("did you mean /%s? /help lists the commands", found);
    else
        ag_cli_hint("/help lists the commands; // sends a slash");
    ag_buf_deinit(&names);
}

ag_cli_verdict ag_cli_chat_command(ag_cli_chatter *c, ag_span line) {
    char *text = ag_strndup(AG_ROOM_CLI, line.p + 1, line.n - 1);
    if (!text) {
        ag_cli_note("out of memory");
        return AG_CLI_GO_ON;
    }
    size_t n = strcspn(text, " \t\n");
    char *arg = text + n;
    arg += strspn(arg, " \t\n");
    text[n] = '\0';
    for (size_t end = strlen(arg); end > 0 && strchr(" \t\n", arg[end - 1]); end--)
        arg[end - 1] = '\0';
    ag_cli_verdict verdict = AG_CLI_GO_ON;
    size_t i = 0;
    while (i < N_COMMANDS && strcmp(commands[i].name, text) != 0)
        i++;
    if (i < N_COMMANDS)
        verdict = commands[i].run(c, arg);
    else
        tell_unknown(text);
    ag_cli_out_flush();
    ag_free(text);
    return verdict;
}
