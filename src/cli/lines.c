#include "cli/lines.h"

#include <errno.h>
#include <unistd.h>

#include "cli/out.h"

#define CHUNK 65536

void ag_cli_lines_init(ag_cli_lines *l) {
    *l = (ag_cli_lines){.on_terminal =
                            ag_cli_is_terminal(STDIN_FILENO) && ag_cli_is_terminal(STDOUT_FILENO)};
    ag_buf_init(&l->input, AG_ROOM_CLI, AG_CLI_EDIT_MAX + CHUNK);
}

void ag_cli_lines_deinit(ag_cli_lines *l) {
    ag_cli_edit_deinit(&l->edit);
    ag_buf_deinit(&l->input);
}

/* Read more of standard input; false at its end, on an error, or when a signal came. */
static bool fill(ag_cli_lines *l, bool *interrupted) {
    if (l->used > 0) {
        memmove(l->input.p, l->input.p + l->used, l->input.n - l->used);
        l->input.n -= l->used;
        l->used = 0;
    }
    if (!ag_buf_reserve(&l->input, CHUNK)) {
        l->at_end = true;
        return false;
    }
    ssize_t got = read(STDIN_FILENO, l->input.p + l->input.n, CHUNK);
    if (got < 0 && errno == EINTR) {
        *interrupted = true;
        return false;
    }
    if (got <= 0) {
        l->at_end = true;
        return false;
    }
    l->input.n += (size_t)got;
    return true;
}

static ag_cli_key piped_line(ag_cli_lines *l, ag_buf *line, ag_err *err) {
    line->n = 0;
    for (size_t from = l->used;;) {
        ag_span all = ag_buf_span(&l->input);
        size_t end = ag_span_find(all, ag_str("\n"), from);
        bool interrupted = false;
        if (end != SIZE_MAX) {
            ag_buf_add(line, all.p + l->used, end - l->used);
            l->used = end + 1;
            return AG_CLI_LINE;
        }
        size_t seen = all.n - l->used;
        if (!l->at_end && fill(l, &interrupted)) {
            from = l->used + seen;
            continue;
        }
        if (interrupted)
            return AG_CLI_INTERRUPT;
        if (l->input.failed) {
            (void)ag_buf_check(&l->input, "a line of standard input", err);
            return AG_CLI_EOF;
        }
        if (seen == 0)
            return AG_CLI_EOF;
        ag_buf_add(line, l->input.p + l->used, seen);
        l->used = l->input.n;
        return AG_CLI_LINE;
    }
}

static ag_cli_key one_line(ag_cli_lines *l, const char *prompt, ag_buf *line, bool *had_text,
                           ag_err *err) {
    if (l->on_terminal)
        return ag_cli_edit_read(&l->edit, prompt, line, had_text);
    ag_cli_key key = piped_line(l, line, err);
    if (key == AG_CLI_LINE && line->n > 0 && line->p[line->n - 1] == '\r')
        line->n--;
    return key;
}

/* Read on until a line ends with three quotes; `text` holds what followed the opening ones. */
static ag_cli_key read_block(ag_cli_lines *l, ag_buf *text, ag_buf *line, ag_err *err) {
    const ag_span quotes = ag_str("\"\"\"");
    bool had_text = false;
    for (bool first = text->n == 0;; first = false) {
        ag_cli_key key = one_line(l, "... ", line, &had_text, err);
        if (key == AG_CLI_EOF && text->n > 0)
            return AG_CLI_LINE;
        if (key != AG_CLI_LINE)
            return key;
        ag_span s = ag_buf_span(line);
        bool last = ag_span_ends(s, quotes);
        if (last)
            s.n -= quotes.n;
        if (!first && !(last && s.n == 0))
            ag_buf_addc(text, '\n');
        ag_buf_add(text, s.p, s.n);
        if (last)
            return AG_CLI_LINE;
    }
}

static ag_cli_key read_message(ag_cli_lines *l, ag_buf *text, ag_buf *line, bool *had_text,
                               ag_err *err) {
    const ag_span quotes = ag_str("\"\"\"");
    ag_cli_key key = one_line(l, "> ", line, had_text, err);
    ag_span s = ag_buf_span(line);
    if (key != AG_CLI_LINE)
        return key;
    if (ag_span_starts(s, quotes)) {
        s = ag_span_sub(s, quotes.n, s.n);
        bool whole = s.n >= quotes.n && ag_span_ends(s, quotes);
        ag_buf_add(text, s.p, whole ? s.n - quotes.n : s.n);
        return whole ? AG_CLI_LINE : read_block(l, text, line, err);
    }
    while (ag_span_ends(s, ag_str("\\"))) {
        ag_buf_add(text, s.p, s.n - 1);
        ag_buf_addc(text, '\n');
        key = one_line(l, "... ", line, had_text, err);
        if (key == AG_CLI_EOF)
            return AG_CLI_LINE;
        if (key != AG_CLI_LINE)
            return key;
        s = ag_buf_span(line);
    }
    ag_buf_add(text, s.p, s.n);
    return AG_CLI_LINE;
}

ag_cli_key ag_cli_lines_read(ag_cli_lines *l, ag_buf *text, bool *had_text, ag_err *err) {
    ag_buf line;
    ag_buf_init(&line, AG_ROOM_CLI, AG_CLI_EDIT_MAX);
    text->n = 0;
    ag_cli_key key = read_message(l, text, &line, had_text, err);
    if (line.failed || text->failed) {
        ag_fail(err, AG_E_LIMIT, "the message is larger than %zu bytes", AG_CLI_EDIT_MAX);
        key = AG_CLI_EOF;
    }
    if (key == AG_CLI_LINE && l->on_terminal)
        ag_cli_edit_remember(&l->edit, ag_buf_span(text));
    ag_buf_deinit(&line);
    return key;
}
