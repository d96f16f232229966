#include "cli/convo.h"

#include "base/error.h"

static void free_content(ag_message *m) {
    ag_free((void *)(uintptr_t)m->content);
    *m = (ag_message){0};
}

void ag_cli_convo_clear(ag_cli_convo *c) {
    while (c->n > 0)
        ag_cli_convo_pop(c);
}

void ag_cli_convo_deinit(ag_cli_convo *c) {
    ag_cli_convo_clear(c);
    ag_free(c->messages);
    ag_free(c->system);
    *c = (ag_cli_convo){0};
}

static ag_code make_room(ag_cli_convo *c, ag_err *err) {
    if (c->n + 2 <= c->room)
        return AG_OK;
    size_t room = c->room ? c->room * 2 : 16;
    ag_message *m = ag_realloc(AG_ROOM_CLI, c->messages, room, sizeof *m);
    if (!m)
        return ag_fail(err, AG_E_NOMEM, "out of memory for the conversation");
    c->messages = m;
    c->room = room;
    return AG_OK;
}

ag_code ag_cli_convo_system(ag_cli_convo *c, const char *text, ag_err *err) {
    char *copy = NULL;
    if (text && *text) {
        copy = ag_strndup(AG_ROOM_CLI, text, strlen(text));
        if (!copy)
            return ag_fail(err, AG_E_NOMEM, "out of memory for the system message");
    }
    ag_free(c->system);
    c->system = copy;
    return AG_OK;
}

ag_code ag_cli_convo_add(ag_cli_convo *c, const char *role, ag_span text, ag_err *err) {
    if (text.n > 0 && memchr(text.p, '\0', text.n))
        return ag_fail(err, AG_E_ARG, "the message holds a zero byte");
    ag_code code = make_room(c, err);
    if (code)
        return code;
    char *copy = ag_strndup(AG_ROOM_CLI, text.p ? text.p : "", text.n);
    if (!copy)
        return ag_fail(err, AG_E_NOMEM, "out of memory for a message");
    c->messages[++c->n] = (ag_message){.role = role, .content = copy};
    return AG_OK;
}

void ag_cli_convo_pop(ag_cli_convo *c) {
    if (c->n > 0)
        free_content(&c->messages[c->n--]);
}

bool ag_cli_convo_drop_oldest(ag_cli_convo *c) {
    if (c->n < 3)
        return false;
    free_content(&c->messages[1]);
    free_content(&c->messages[2]);
    memmove(c->messages + 1, c->messages + 3, sizeof *c->messages * (c->n - 2));
    c->n -= 2;
    return true;
}

const ag_message *ag_cli_convo_all(ag_cli_convo *c, size_t *n) {
    *n = c->n;
    if (!c->system || c->n == 0)
        return c->messages ? c->messages + 1 : NULL;
    c->messages[0] = (ag_message){.role = "system", .content = c->system};
    *n = c->n + 1;
    return c->messages;
}
