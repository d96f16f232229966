#include "cli/out.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"

#define FLUSH_AT 32768

static struct {
    ag_buf pending;
    int failed_errno; /* of the first failed write; 0 while all is well */
} out = {.pending = {.cap = (size_t)1 << 31, .tag = AG_ROOM_CLI}};

/* ---- writing --------------------------------------------------------------------------------- */

static int write_all(int fd, const char *p, size_t n) {
    while (n > 0) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return errno;
        p += put;
        n -= (size_t)put;
    }
    return 0;
}

bool ag_cli_out_flush(void) {
    if (!out.failed_errno && out.pending.failed)
        out.failed_errno = ENOMEM;
    if (!out.failed_errno)
        out.failed_errno = write_all(STDOUT_FILENO, out.pending.p, out.pending.n);
    out.pending.n = 0;
    return out.failed_errno == 0;
}

bool ag_cli_out_lost(void) { return out.failed_errno != 0; }

static void flush_when_large(void) {
    if (out.pending.n >= FLUSH_AT || out.pending.failed)
        ag_cli_out_flush();
}

int ag_cli_out_finish(int status) {
    ag_cli_out_flush();
    ag_buf_deinit(&out.pending);
    if (!out.failed_errno || out.failed_errno == EPIPE || status != AG_CLI_DONE)
        return status;
    ag_cli_note("cannot write to standard output: %s", strerror(out.failed_errno));
    return AG_CLI_FAILED;
}

void ag_cli_out_bytes(ag_span s) {
    if (!out.failed_errno)
        ag_buf_add(&out.pending, s.p, s.n);
    flush_when_large();
}

static bool add_formatted(ag_buf *b, const char *fmt, va_list ap) {
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    bool ok = n >= 0 && ag_buf_reserve(b, (size_t)n + 1);
    if (ok) {
        vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
    return ok;
}

void ag_cli_out(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    if (!out.failed_errno)
        add_formatted(&out.pending, fmt, ap);
    va_end(ap);
    flush_when_large();
}

/* ---- escaping -------------------------------------------------------------------------------- */

static bool is_unsafe(uint32_t cp) {
    return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) ||       /* C0, DEL, C1 */
           cp == 0x061c || cp == 0x200e || cp == 0x200f || /* bidirectional marks */
           (cp >= 0x2028 && cp <= 0x202e) ||               /* separators, embeddings, overrides */
           (cp >= 0x2066 && cp <= 0x2069) ||               /* isolates */
           cp == 0xfeff || (cp >= 0xfff9 && cp <= 0xfffb) || (cp >= 0xe0000 && cp <= 0xe007f);
}

bool ag_cli_escape(ag_span s, bool lines, ag_buf *to) {
    while (s.n > 0) {
        ag_utf8_step step = ag_utf8_next(s);
        ag_span piece = ag_span_sub(s, 0, step.n);
        s = ag_span_sub(s, step.n, s.n);
        if (step.kind != AG_UTF8_OK) {
            for (size_t i = 0; i < piece.n; i++)
                ag_buf_addf(to, "\\x%02x", (unsigned char)piece.p[i]);
        } else if (lines && (step.cp == '\n' || step.cp == '\t')) {
            ag_buf_add(to, piece.p, piece.n);
        } else if (step.cp == '\n' || step.cp == '\t' || step.cp == '\r') {
            ag_buf_adds(to, step.cp == '\n' ? "\\n" : step.cp == '\t' ? "\\t" : "\\r");
        } else if (is_unsafe(step.cp)) {
            ag_buf_addf(to, step.cp < 0x80 ? "\\x%02x" : "\\u{%x}", (unsigned)step.cp);
        } else {
            ag_buf_add(to, piece.p, piece.n);
        }
    }
    return !to->failed;
}

void ag_cli_out_name(ag_span s) {
    if (!out.failed_errno)
        ag_cli_escape(s, false, &out.pending);
    flush_when_large();
}

void ag_cli_out_text(ag_span s) {
    if (ag_cli_is_terminal(STDOUT_FILENO) && !out.failed_errno)
        ag_cli_escape(s, true, &out.pending);
    else
        ag_cli_out_bytes(s);
    flush_when_large();
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static int add_json(const char *p, size_t n, void *ctx) {
    (void)ctx;
    ag_cli_out_bytes(ag_span_of(p, n));
    return ag_cli_out_lost() ? -1 : 0;
}

void ag_cli_out_json(json_t *value) {
    if (!value && !out.failed_errno)
        out.failed_errno = ENOMEM;
    if (value && json_dump_callback(value, add_json, NULL,
                                    JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12)) == 0)
        ag_cli_out("\n");
    json_decref(value);
}

json_t *ag_cli_json_text(ag_span s) {
    if (ag_utf8_is_valid(s))
        return json_stringn(s.p ? s.p : "", s.n);
    ag_buf fixed;
    ag_buf_init(&fixed, AG_ROOM_CLI, SIZE_MAX / 2);
    json_t *text = ag_utf8_repair(s, &fixed) ? json_stringn(fixed.p, fixed.n) : NULL;
    ag_buf_deinit(&fixed);
    return text;
}

json_t *ag_cli_json_num(double v) {
    return isfinite(v) ? json_real(round(v * 1000.0) / 1000.0) : json_null();
}

const char *ag_cli_size(uint64_t bytes, char text[AG_CLI_SIZE_TEXT]) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double v = (double)bytes;
    int u = 0;
    for (; v >= 1000.0 && u < 6; u++)
        v /= 1024.0;
    snprintf(text, AG_CLI_SIZE_TEXT,
             u == 0   ? "%.0f %s"
             : v < 10 ? "%.2f %s"
                      : "%.1f %s",
             v, units[u]);
    return text;
}

/* ---- standard error -------------------------------------------------------------------------- */

static void (*taker)(ag_log_level level, const char *line);

void ag_cli_notes_to(void (*to)(ag_log_level level, const char *line)) { taker = to; }

bool ag_cli_notes_are_taken(void) { return taker != NULL; }

/* One write a line, so that lines of several threads do not mix. */
static void tell(ag_log_level level, const char *prefix, ag_span said) {
    ag_buf line;
    ag_buf_init(&line, AG_ROOM_CLI, 65536);
    if (taker) {
        ag_buf_add(&line, said.p, said.n);
        taker(level, ag_buf_cstr(&line) ? line.p : "out of memory");
    } else {
        ag_buf_adds(&line, prefix);
        ag_cli_escape(said, false, &line);
        ag_buf_adds(&line, "\n");
        (void)write_all(STDERR_FILENO, line.p, line.n);
    }
    ag_buf_deinit(&line);
}

static void tell_formatted(ag_log_level level, const char *prefix, const char *fmt, va_list ap) {
    ag_buf said;
    ag_buf_init(&said, AG_ROOM_CLI, 8192);
    add_formatted(&said, fmt, ap);
    tell(level, prefix, ag_buf_span(&said));
    ag_buf_deinit(&said);
}

void ag_cli_note(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    tell_formatted(AG_LOG_INFO, "autoglm: ", fmt, ap);
    va_end(ap);
}

void ag_cli_hint(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    tell_formatted(AG_LOG_INFO, "hint: ", fmt, ap);
    va_end(ap);
}

int ag_cli_usage(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    tell_formatted(AG_LOG_ERROR, "autoglm: ", fmt, ap);
    va_end(ap);
    return AG_CLI_USAGE;
}

static const char *hint_of(ag_code code) {
    switch (code) {
    case AG_E_NOT_FOUND:
        return "check the path and that it can be read from here; 'autoglm models list' shows "
               "names";
    case AG_E_FORMAT:
        return "the file may be cut off or not a GGUF model: compare its size with its source's";
    case AG_E_UNSUPPORTED:
        return "'autoglm inspect FILE' shows what a file holds";
    case AG_E_BUDGET:
        return "a smaller --ctx, --kv-type q8_0 or a larger --memory-fraction needs less or allows "
               "more; 'autoglm inspect FILE' shows the memory by context length";
    case AG_E_CTX_FULL:
        return "shorten the prompt or give a larger --ctx";
    case AG_E_UTF8:
        return "texts must be UTF-8; 'iconv -f ENCODING -t UTF-8' converts";
    case AG_E_TEMPLATE:
        return "--chat-template FILE replaces the model's template; 'run --raw' needs none";
    default:
        return NULL;
    }
}

int ag_cli_fail(const ag_err *err) {
    const char *hint = hint_of(err->code);
    tell(AG_LOG_ERROR, "autoglm: ", ag_str(err->msg[0] ? err->msg : ag_code_name(err->code)));
    if (hint)
        ag_cli_hint("%s", hint);
    return AG_CLI_FAILED;
}

/* ---- terminals ------------------------------------------------------------------------------- */

bool ag_cli_is_terminal(int fd) {
    static signed char known[3] = {-1, -1, -1};
    if (fd < 0 || fd > 2)
        return isatty(fd) == 1;
    if (known[fd] < 0)
        known[fd] = (signed char)(isatty(fd) == 1);
    return known[fd] == 1;
}

const char *ag_cli_env(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

bool ag_cli_user_path(char path[PATH_MAX], const char *variable, const char *usual,
                      const char *name) {
    const char *folder = ag_cli_env(variable), *home = ag_cli_env("HOME");
    int n = -1;
    if (folder && folder[0] == '/') /* a relative one is invalid, says its standard */
        n = snprintf(path, PATH_MAX, "%s/%s", folder, name);
    else if (home)
        n = snprintf(path, PATH_MAX, "%s/%s/%s", home, usual, name);
    return n > 0 && n < PATH_MAX;
}

bool ag_cli_may_colour(int fd) {
    const char *term = ag_cli_env("TERM");
    return ag_cli_is_terminal(fd) && !ag_cli_env("NO_COLOR") && !(term && !strcmp(term, "dumb"));
}
