/* The programs write one JSON object a test, a line each (-o jsonl); the last one counts. */
#include "cli/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/span.h"

#define MAX_ANSWER (256 << 10)
#define MAX_WORDS  20

ag_code ag_cli_peer_find(const char *dir, ag_cli_peer *out, ag_err *err) {
    static const char *const below[] = {"", "/bin", "/build/bin", "/llama.cpp/bin"};
    for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
        char program[PATH_MAX];
        int n = snprintf(program, sizeof program, "%s%s/llama-bench", dir, below[i]);
        if (n < (int)sizeof program && access(program, X_OK) == 0) {
            snprintf(out->dir, sizeof out->dir, "%s%s", dir, below[i]);
            return AG_OK;
        }
    }
    return ag_fail(err, AG_E_NOT_FOUND,
                   "no program llama-bench in %s, its bin, build/bin or llama.cpp/bin", dir);
}

/* ---- running a program ----------------------------------------------------------------------- */

static ag_code spawn(char *const argv[], int output, pid_t *pid, ag_err *err) {
    posix_spawn_file_actions_t files;
    if (posix_spawn_file_actions_init(&files))
        return ag_fail(err, AG_E_NOMEM, "out of memory for starting %s", argv[0]);
    int error = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    if (!error)
        error = posix_spawn_file_actions_adddup2(&files, output, 1);
    if (!error)
        error = posix_spawn_file_actions_adddup2(&files, output, 2);
    if (!error)
        error = posix_spawn(pid, argv[0], &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    return error ? ag_fail(err, AG_E_IO, "cannot run %s: %s", argv[0], strerror(error)) : AG_OK;
}

/* All that it writes; past the limit it is read and dropped, since a full pipe would stop it. */
static void read_all(int fd, ag_buf *out) {
    char piece[4096];
    for (;;) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n > 0)
            ag_buf_add(out, piece, (size_t)n);
        else if (n == 0 || errno != EINTR)
            return;
    }
}

static ag_span last_line(ag_span s) {
    while (s.n && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
        s.n--;
    size_t begin = s.n;
    while (begin && s.p[begin - 1] != '\n')
        begin--;
    return ag_span_sub(s, begin, s.n);
}

static ag_code run(char *const argv[], ag_buf *out, ag_err *err) {
    int fd[2];
    pid_t pid = 0;
    if (pipe2(fd, O_CLOEXEC))
        return ag_fail(err, AG_E_IO, "cannot run %s: %s", argv[0], strerror(errno));
    ag_code code = spawn(argv, fd[1], &pid, err);
    close(fd[1]);
    if (!code)
        read_all(fd[0], out);
    close(fd[0]);
    if (code)
        return code;
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (out->failed)
        return ag_fail(err, AG_E_NOMEM, "%s wrote more than can be kept", argv[0]);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return AG_OK;
    return ag_fail(err, AG_E_IO, "%s failed: %.*s", argv[0],
                   AG_SPAN(ag_span_sub(last_line(ag_buf_span(out)), 0, 300)));
}

/* ---- what it said ---------------------------------------------------------------------------- */

static double number(const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static ag_code read_answer(const char *program, ag_span said, bool batched, ag_cli_bench_value *out,
                           ag_err *err) {
    json_t *o = NULL;
    for (ag_span rest = said; !o && rest.n;) {
        ag_span line = last_line(rest);
        if (line.n && line.p[0] == '{')
            o = json_loadb(line.p, line.n, 0, NULL);
        rest = line.n ? ag_span_sub(rest, 0, (size_t)(line.p - rest.p)) : (ag_span){0};
    }
    out->tok_s = number(o, batched ? "speed_tg" : "avg_ts");
    out->prefill_tok_s = batched ? number(o, "speed_pp") : NAN;
    json_decref(o);
    return out->tok_s > 0 ? AG_OK
                          : ag_fail(err, AG_E_FORMAT, "%s told no speed; it said: %.*s", program,
                                    AG_SPAN(ag_span_sub(last_line(said), 0, 300)));
}

/* ---- the command lines ----------------------------------------------------------------------- */

typedef struct words {
    char *argv[MAX_WORDS + 1];
    size_t n;
    char numbers[8][24];
    size_t n_numbers;
} words;

static void add(words *w, const char *flag, const char *value) {
    w->argv[w->n++] = (char *)(uintptr_t)flag; /* the standard's signature has no const */
    w->argv[w->n++] = (char *)(uintptr_t)value;
}

static void add_number(words *w, const char *flag, uint64_t value) {
    char *text = w->numbers[w->n_numbers++];
    snprintf(text, sizeof w->numbers[0], "%" PRIu64, value);
    add(w, flag, text);
}

ag_code ag_cli_peer_take(const ag_cli_peer *p, const ag_cli_bench_test *t, ag_cli_bench_value *out,
                         ag_err *err) {
    bool batched = t->kind == AG_CLI_BATCH;
    char program[PATH_MAX + 24];
    snprintf(program, sizeof program, "%s/%s", p->dir,
             batched ? "llama-batched-bench" : "llama-bench");
    words w = {.argv = {program}, .n = 1};
    add(&w, "-m", p->model);
    add_number(&w, "-t", p->n_threads);
    if (p->kv_type) {
        add(&w, "-ctk", p->kv_type);
        add(&w, "-ctv", p->kv_type);
    }
    if (batched) {
        add_number(&w, "-c", (uint64_t)t->n * ((uint64_t)t->npp + t->ntg));
        add_number(&w, "-npp", t->npp);
        add_number(&w, "-ntg", t->ntg);
        add_number(&w, "-npl", t->n);
        add(&w, "--output-format", "jsonl");
    } else {
        bool is_pp = t->kind == AG_CLI_PP;
        add_number(&w, "-p", is_pp ? t->n : 0);
        add_number(&w, "-n", is_pp ? 0 : t->n);
        add_number(&w, "-d", t->depth);
        add_number(&w, "-r", 1);
        add(&w, "-o", "jsonl");
    }
    ag_buf said;
    ag_buf_init(&said, AG_ROOM_CLI, MAX_ANSWER);
    ag_code code = run(w.argv, &said, err);
    if (!code)
        code = read_answer(program, ag_buf_span(&said), batched, out, err);
    ag_buf_deinit(&said);
    return code;
}
