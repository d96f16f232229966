/* The terminal is in raw mode only while a line is read. Every change redraws the whole message
 * from the row where it began; messages are short, and a redraw cannot leave remains behind.
 * Signals that end or stop the process put the terminal back first. */
#include "cli/edit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "cli/out.h"

#define CONTROL(c) ((c)&0x1f)
#define ESC        27

enum key { /* beyond Unicode */
           KEY_LEFT = 0x110000,
           KEY_RIGHT,
           KEY_UP,
           KEY_DOWN,
           KEY_HOME,
           KEY_END,
           KEY_DELETE,
           KEY_WORD_LEFT,
           KEY_WORD_RIGHT,
           KEY_KILL_WORD,
           KEY_NEWLINE,
           KEY_PASTE_BEGIN,
           KEY_NONE,
           KEY_GONE,
};

static struct termios cooked; /* as we found the terminal */
static volatile sig_atomic_t is_raw;
static volatile sig_atomic_t resized;

typedef struct editor {
    const char *prompt;
    ag_buf *line;
    size_t at;     /* cursor, a byte offset at a character's start */
    int row;       /* of the cursor, below the prompt's row, as last drawn */
    size_t recall; /* place in the history; n_history: the new line */
    ag_buf draft;  /* the new line while older ones are shown */
    ag_cli_edit *e;
} editor;

/* ---- the terminal's mode --------------------------------------------------------------------- */

static void put(const char *s, size_t n) { ag_cli_out_bytes(ag_span_of(s, n)); }

static void leave_raw(void) {
    if (!is_raw)
        return;
    (void)!write(STDOUT_FILENO, "\x1b[?2004l", 8); /* bracketed paste off */
    tcsetattr(STDIN_FILENO, TCSADRAIN, &cooked);
    is_raw = 0;
}

static bool enter_raw(void) {
    if (tcgetattr(STDIN_FILENO, &cooked) != 0)
        return false;
    struct termios raw = cooked;
    raw.c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | INPCK | ISTRIP | IXON);
    raw.c_lflag &= ~(tcflag_t)(ECHO | ICANON | IEXTEN | ISIG);
    raw.c_cflag |= CS8;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) != 0)
        return false;
    is_raw = 1;
    (void)!write(STDOUT_FILENO, "\x1b[?2004h", 8);
    return true;
}

static void on_fatal(int sig) {
    leave_raw();
    signal(sig, SIG_DFL);
    raise(sig);
}

static void on_resize(int sig) {
    (void)sig;
    resized = 1;
}

static void catch_signals(bool on) {
    static const int fatal[] = {SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction sa = {.sa_handler = on ? on_fatal : SIG_DFL};
    sigemptyset(&sa.sa_mask);
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        sigaction(fatal[i], &sa, NULL);
    sa.sa_handler = on ? on_resize : SIG_DFL;
    sigaction(SIGWINCH, &sa, NULL);
}

static int columns(void) {
    struct winsize w;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 3 ? w.ws_col : 80;
}

/* ---- reading keys ---------------------------------------------------------------------------- */

/* One byte, or -1 when the terminal has gone; -2 when a signal (a resize) woke us. */
static int get_byte(void) {
    unsigned char c;
    ssize_t n = read(STDIN_FILENO, &c, 1);
    if (n < 0 && errno == EINTR)
        return -2;
    return n == 1 ? c : -1;
}

static uint32_t named_key(const char *digits, int final) {
    bool ctrl = digits[0] != '\0' && digits[1] == ';';
    switch (final) {
    case 'A':
        return KEY_UP;
    case 'B':
        return KEY_DOWN;
    case 'C':
        return ctrl ? KEY_WORD_RIGHT : KEY_RIGHT;
    case 'D':
        return ctrl ? KEY_WORD_LEFT : KEY_LEFT;
    case 'H':
        return KEY_HOME;
    case 'F':
        return KEY_END;
    case '~':
        break;
    default:
        return KEY_NONE;
    }
    switch (strtol(digits, NULL, 10)) {
    case 1:
    case 7:
        return KEY_HOME;
    case 4:
    case 8:
        return KEY_END;
    case 3:
        return KEY_DELETE;
    case 200:
        return KEY_PASTE_BEGIN;
    default:
        return KEY_NONE;
    }
}

static uint32_t escape_key(void) {
    char digits[16] = "";
    size_t n = 0;
    int c = get_byte();
    if (c == '\r' || c == '\n')
        return KEY_NEWLINE;
    if (c == 'b')
        return KEY_WORD_LEFT;
    if (c == 'f')
        return KEY_WORD_RIGHT;
    if (c == 127 || c == 8)
        return KEY_KILL_WORD;
    if (c != '[' && c != 'O')
        return c == -1 ? KEY_GONE : KEY_NONE;
    for (;;) {
        c = get_byte();
        if (c < 0)
            return c == -1 ? KEY_GONE : KEY_NONE;
        if (c >= 0x40 && c <= 0x7e)
            return named_key(digits, c);
        if (n + 1 < sizeof digits) {
            digits[n++] = (char)c;
            digits[n] = '\0';
        }
    }
}

/* A character or a KEY_; ill-formed UTF-8 gives KEY_NONE. */
static uint32_t get_key(void) {
    char bytes[4];
    int c = get_byte();
    if (c < 0)
        return c == -1 ? KEY_GONE : KEY_NONE;
    if (c == ESC)
        return escape_key();
    bytes[0] = (char)c;
    size_t n = 1;
    for (;;) {
        ag_utf8_step step = ag_utf8_next(ag_span_of(bytes, n));
        if (step.kind == AG_UTF8_OK)
            return step.cp;
        if (step.kind == AG_UTF8_BAD || n == 4 || (c = get_byte()) < 0)
            return KEY_NONE;
        bytes[n++] = (char)c;
    }
}

/* ---- characters and their width -------------------------------------------------------------- */

static int width_of(uint32_t cp) {
    return cp < 0x20 || cp == 0x7f ? 1 : utf8proc_charwidth((utf8proc_int32_t)cp);
}

static uint32_t char_at(const ag_buf *b, size_t at, size_t *n) {
    ag_utf8_step step = ag_utf8_next(ag_span_of(b->p + at, b->n - at));
    *n = step.n;
    return step.cp;
}

/* The next place where the cursor may stand; combining characters belong to what they follow. */
static size_t next_at(const ag_buf *b, size_t at) {
    size_t n = 0;
    if (at < b->n) {
        char_at(b, at, &n);
        at += n;
    }
    while (at < b->n && width_of(char_at(b, at, &n)) == 0)
        at += n;
    return at;
}

static size_t prev_at(const ag_buf *b, size_t at) {
    size_t n = 0;
    while (at > 0) {
        do
            at--;
        while (at > 0 && ((unsigned char)b->p[at] & 0xc0) == 0x80);
        if (width_of(char_at(b, at, &n)) > 0)
            break;
    }
    return at;
}

static bool is_space(const ag_buf *b, size_t at) {
    return b->p[at] == ' ' || b->p[at] == '\n' || b->p[at] == '\t';
}

static size_t word_left(const ag_buf *b, size_t at) {
    while (at > 0 && is_space(b, prev_at(b, at)))
        at = prev_at(b, at);
    while (at > 0 && !is_space(b, prev_at(b, at)))
        at = prev_at(b, at);
    return at;
}

static size_t word_right(const ag_buf *b, size_t at) {
    while (at < b->n && is_space(b, at))
        at = next_at(b, at);
    while (at < b->n && !is_space(b, at))
        at = next_at(b, at);
    return at;
}

/* ---- drawing --------------------------------------------------------------------------------- */

/* Where the next character goes; a wide one does not straddle the edge. */
static void step_place(int w, int cols, int *row, int *col) {
    if (*col + w > cols) {
        (*row)++;
        *col = 0;
    }
    *col += w;
}

static void draw(editor *ed) {
    int cols = columns(), row = 0, col = 0, cursor_row = 0, cursor_col = 0;
    if (ed->row > 0)
        ag_cli_out("\x1b[%dA", ed->row);
    ag_cli_out("\r\x1b[J%s", ed->prompt);
    for (const char *p = ed->prompt; *p; p++)
        step_place(1, cols, &row, &col);
    for (size_t at = 0, n = 0; at < ed->line->n; at += n) {
        uint32_t cp = char_at(ed->line, at, &n);
        bool line_end = cp == '\n';
        if (at == ed->at) {
            cursor_row = row;
            cursor_col = col;
        }
        int w = width_of(cp);
        if (col + w > cols)
            put("\r\n", 2); /* so that every terminal wraps where we think it does */
        step_place(w, cols, &row, &col);
        if (line_end)
            put("\xe2\x8f\x8e", 3); /* U+23CE */
        else if (cp == '\t')
            put(" ", 1);
        else
            put(ed->line->p + at, n);
    }
    if (ed->at >= ed->line->n) {
        cursor_row = row;
        cursor_col = col;
    }
    if (cursor_col >= cols) { /* behind the last column: the next row's start */
        cursor_row++;
        cursor_col = 0;
    }
    if (cursor_row > row) {
        put("\r\n", 2);
        row = cursor_row;
    }
    if (row > cursor_row)
        ag_cli_out("\x1b[%dA", row - cursor_row);
    ag_cli_out("\r");
    if (cursor_col > 0)
        ag_cli_out("\x1b[%dC", cursor_col);
    ed->row = cursor_row;
    ag_cli_out_flush();
}

/* ---- changing the line ----------------------------------------------------------------------- */

static void erase(editor *ed, size_t from, size_t to) {
    memmove(ed->line->p + from, ed->line->p + to, ed->line->n - to);
    ed->line->n -= to - from;
    ed->at = from;
}

/* Control characters stay out, so that drawing the line is safe. */
static bool is_text(uint32_t key) {
    return key == '\t' || (key >= 0x20 && key < 0x110000 && !(key >= 0x7f && key < 0xa0));
}

static void insert(editor *ed, uint32_t cp) {
    char bytes[4];
    size_t n = ag_utf8_encode(cp, bytes);
    if (ed->line->n + n > ed->line->cap || !ag_buf_reserve(ed->line, n))
        return;
    memmove(ed->line->p + ed->at + n, ed->line->p + ed->at, ed->line->n - ed->at);
    memcpy(ed->line->p + ed->at, bytes, n);
    ed->line->n += n;
    ed->at += n;
}

static void recall(editor *ed, size_t to) {
    if (to > ed->e->n_history || to == ed->recall)
        return;
    if (ed->recall == ed->e->n_history) {
        ed->draft.n = 0;
        ag_buf_add(&ed->draft, ed->line->p, ed->line->n);
    }
    ed->recall = to;
    ag_span text = to < ed->e->n_history ? ag_str(ed->e->history[to]) : ag_buf_span(&ed->draft);
    ed->line->n = 0;
    ag_buf_add(ed->line, text.p, text.n);
    ed->at = ed->line->n;
}

static void suspend(editor *ed) {
    leave_raw();
    raise(SIGTSTP);
    enter_raw();
    ed->row = 0;
}

static void move_key(editor *ed, uint32_t key) {
    const ag_buf *b = ed->line;
    switch (key) {
    case CONTROL('b'):
    case KEY_LEFT:
        ed->at = prev_at(b, ed->at);
        break;
    case CONTROL('f'):
    case KEY_RIGHT:
        ed->at = next_at(b, ed->at);
        break;
    case KEY_WORD_LEFT:
        ed->at = word_left(b, ed->at);
        break;
    case KEY_WORD_RIGHT:
        ed->at = word_right(b, ed->at);
        break;
    case CONTROL('a'):
    case KEY_HOME:
        ed->at = 0;
        break;
    case CONTROL('e'):
    case KEY_END:
        ed->at = b->n;
        break;
    case CONTROL('p'):
    case KEY_UP:
        recall(ed, ed->recall > 0 ? ed->recall - 1 : 0);
        break;
    case CONTROL('n'):
    case KEY_DOWN:
        recall(ed, ed->recall + 1);
        break;
    default:
        break;
    }
}

static void change_key(editor *ed, uint32_t key) {
    const ag_buf *b = ed->line;
    switch (key) {
    case 127:
    case CONTROL('h'):
        erase(ed, prev_at(b, ed->at), ed->at);
        break;
    case CONTROL('d'):
    case KEY_DELETE:
        erase(ed, ed->at, next_at(b, ed->at));
        break;
    case CONTROL('u'):
        erase(ed, 0, ed->at);
        break;
    case CONTROL('k'):
        erase(ed, ed->at, b->n);
        break;
    case CONTROL('w'):
    case KEY_KILL_WORD:
        erase(ed, word_left(b, ed->at), ed->at);
        break;
    case CONTROL('l'):
        ag_cli_out("\x1b[H\x1b[2J");
        ed->row = 0;
        break;
    case CONTROL('z'):
        suspend(ed);
        break;
    case KEY_NEWLINE:
        insert(ed, '\n');
        break;
    default:
        if (is_text(key))
            insert(ed, key);
        else
            move_key(ed, key);
        break;
    }
}

/* Read pasted text up to its closing sequence. It is data: nothing in it is a command, control
 * characters are dropped, line ends are kept. False when the terminal has gone. */
static bool paste(editor *ed) {
    const ag_span end = ag_str("\x1b[201~");
    ag_buf raw;
    int c = 0;
    ag_buf_init(&raw, AG_ROOM_CLI, AG_CLI_EDIT_MAX);
    while (!ag_span_ends(ag_buf_span(&raw), end)) {
        c = get_byte();
        if (c == -1)
            break;
        if (c >= 0 && !ag_buf_addc(&raw, (char)c))
            raw.n = 0; /* far too long: forget it, but find its end */
        raw.failed = raw.over = false;
    }
    ag_span s = ag_span_sub(ag_buf_span(&raw), 0, c == -1 ? raw.n : raw.n - end.n);
    while (s.n > 0) {
        ag_utf8_step step = ag_utf8_next(s);
        s = ag_span_sub(s, step.n, s.n);
        if (step.cp == '\r' || step.cp == '\n')
            insert(ed, '\n');
        else if (step.kind == AG_UTF8_OK && is_text(step.cp))
            insert(ed, step.cp);
    }
    ag_buf_deinit(&raw);
    return c != -1;
}

/* Is a key already waiting? Then drawing can wait too. */
static bool more_waits(void) {
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&p, 1, 0) > 0 && (p.revents & POLLIN);
}

static ag_cli_key edit(editor *ed) {
    for (;;) {
        if (!more_waits())
            draw(ed);
        uint32_t key = get_key();
        if (key == KEY_GONE || ag_cli_out_lost() || (key == KEY_PASTE_BEGIN && !paste(ed)))
            return AG_CLI_EOF;
        if (resized) {
            resized = 0;
            ed->row = 0;
        }
        if (key == '\r' || key == '\n')
            return AG_CLI_LINE;
        if (key == CONTROL('c'))
            return AG_CLI_INTERRUPT;
        if (key == CONTROL('d') && ed->line->n == 0)
            return AG_CLI_EOF;
        change_key(ed, key);
    }
}

ag_cli_key ag_cli_edit_read(ag_cli_edit *e, const char *prompt, ag_buf *line, bool *had_text) {
    editor ed = {.prompt = prompt, .line = line, .e = e, .recall = e->n_history};
    line->n = 0;
    ag_buf_init(&ed.draft, AG_ROOM_CLI, AG_CLI_EDIT_MAX);
    ag_cli_out_flush();
    catch_signals(true);
    if (!enter_raw()) {
        catch_signals(false);
        return AG_CLI_EOF;
    }
    ag_cli_key result = edit(&ed);
    if (had_text)
        *had_text = line->n > 0;
    ed.at = line->n;
    if (!ag_cli_out_lost())
        draw(&ed);
    leave_raw();
    catch_signals(false);
    ag_cli_out("\n");
    ag_cli_out_flush();
    ag_buf_deinit(&ed.draft);
    return result;
}

void ag_cli_edit_remember(ag_cli_edit *e, ag_span line) {
    if (line.n == 0 || (e->n_history > 0 && ag_span_is(line, e->history[e->n_history - 1])))
        return;
    char *copy = ag_strndup(AG_ROOM_CLI, line.p, line.n);
    if (!copy)
        return;
    if (e->n_history == AG_CLI_EDIT_HISTORY) {
        ag_free(e->history[0]);
        memmove(e->history, e->history + 1, sizeof *e->history * (AG_CLI_EDIT_HISTORY - 1));
        e->n_history--;
    }
    e->history[e->n_history++] = copy;
}

void ag_cli_edit_deinit(ag_cli_edit *e) {
    for (size_t i = 0; i < e->n_history; i++)
        ag_free(e->history[i]);
    *e = (ag_cli_edit){0};
}
