/* Hostile files: every truncation, every damaged byte of the header, sampled damage of the data,
 * and files with one odd key each. All must end in a clear error or in a model that runs, never in
 * a crash. The work is done in a child process, so that a crash is reported with the damage that
 * caused it. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/support.h"
#include "load/gguf.h"

typedef struct progress {
    char doing[512];  /* what the child is at */
    char wrong[1024]; /* what it found wrong; empty: nothing */
    long n_refused, n_ran;
} progress;

static progress *shared;

static void complain(const char *what, const char *detail) {
    if (!shared->wrong[0])
        snprintf(shared->wrong, sizeof shared->wrong, "%s: %s: %s", shared->doing, what, detail);
}

/* A refusal says why, in one line, with a code that names the reason. */
static void check_error(ag_code code, const ag_err *err) {
    if (code == AG_E_INTERNAL)
        complain("internal error", err->msg);
    if (err->code != code || !err->msg[0] || strchr(err->msg, '\n'))
        complain("unclear error", err->msg);
}

static void embed_a_little(ag_engine *engine) {
    ag_engine_info info;
    ag_engine_get_info(engine, &info);
    ag_embed_input in[] = {{.text = "abc de", .text_len = 6}, {.text = "b", .text_len = 1}};
    ag_embed_opts o = {.pooling = AG_POOLING_MEAN, .normalize = true, .truncate = true};
    float *out = malloc(2 * (size_t)info.n_embd * sizeof *out);
    ag_err err = {0};
    ag_code code = ag_engine_embed(engine, in, 2, &o, out, NULL, &err);
    if (code)
        check_error(code, &err);
    free(out);
}

static void run_a_little(ag_engine *engine) {
    embed_a_little(engine);
    static answer a;
    ag_request_opts o = ask_text("abc de", 3, &a);
    ag_request *request = NULL;
    ag_err err = {0};
    ag_code code = ag_engine_submit(engine, &o, &request, &err);
    if (code) {
        check_error(code, &err);
        return;
    }
    ag_request_wait(request);
    ag_request_release(&request);
    if (atomic_load(&a.n_done) != 1)
        complain("on_done", "not called exactly once");
    ag_message message = {"user", "ab"};
    int32_t *ids = NULL;
    size_t n = 0;
    err = (ag_err){0};
    code = ag_engine_chat_ids(engine, &message, 1, &ids, &n, &err);
    if (code)
        check_error(code, &err);
    ag_ids_free(ids);
}

/* Returns whether the file was accepted. */
static bool try_path(const char *path) {
    ag_engine_opts o = test_opts(path);
    o.max_context_length = 32;
    o.kv_tokens = 64;
    o.batch_tokens = 16;
    o.max_sequences = 2;
    o.n_threads = 1;
    ag_engine *engine = NULL;
    ag_err err = {0};
    ag_code code = ag_engine_open(&o, &engine, &err);
    if (code) {
        if (engine)
            complain("engine", "set although open failed");
        check_error(code, &err);
        shared->n_refused++;
        return false;
    }
    run_a_little(engine);
    ag_engine_close(&engine);
    shared->n_ran++;
    return true;
}

static void try_bytes(const uint8_t *p, size_t n, bool engine_too) {
    ag_source *g = NULL;
    ag_err err = {0};
    uint8_t *copy = malloc(n ? n : 1); /* exactly sized: reading past its end is seen */
    memcpy(copy, p, n);
    ag_code code = ag_gguf_open_bytes(copy, n, &g, &err);
    if (code)
        check_error(code, &err);
    ag_source_close(&g);
    free(copy);
    if (!engine_too)
        return;
    int fd = memfd_create("damaged", MFD_CLOEXEC);
    if (fd < 0 || write(fd, p, n) != (ssize_t)n) {
        complain("memfd", "cannot write");
        return;
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    try_path(path);
    close(fd);
}

/* Where tensor data begins: the last offset at which parsing still fails when cut. */
static size_t header_bytes(const uint8_t *p, size_t n) {
    ag_source *g = NULL;
    ag_err err = {0};
    if (ag_gguf_open_bytes(p, n, &g, &err)) {
        complain("undamaged file", err.msg);
        return 0;
    }
    size_t first = n;
    for (size_t i = 0; i < ag_source_n_tensors(g); i++) {
        size_t at = (size_t)ag_source_tensor_at(g, i)->file_at;
        first = at < first ? at : first;
    }
    ag_source_close(&g);
    return first;
}

static void truncate_everywhere(uint8_t *p, size_t n) {
    size_t header = header_bytes(p, n);
    for (size_t cut = 0; cut < n; cut++) {
        snprintf(shared->doing, sizeof shared->doing, "cut to %zu of %zu bytes", cut, n);
        long before = shared->n_ran;
        try_bytes(p, cut, cut % 7 == 0 || cut > n - 64 || (cut > header - 32 && cut < header + 32));
        /* The last tensor ends less than 32 bytes before the end of the file. */
        if (cut + 32 <= n && shared->n_ran > before)
            complain("a truncated file", "was accepted");
    }
}

static void damage_everywhere(uint8_t *p, size_t n) {
    size_t header = header_bytes(p, n);
    for (size_t at = 0; at < n; at += at < header ? 1 : 37) {
        const uint8_t flips[] = {0xFF, (uint8_t)(1u << at % 8), 0x80};
        for (size_t f = 0; f < sizeof flips; f++) {
            snprintf(shared->doing, sizeof shared->doing, "byte %zu of %zu xor 0x%02x", at, n,
                     flips[f]);
            p[at] ^= flips[f];
            try_bytes(p, n, true);
            p[at] ^= flips[f];
        }
    }
}

static void odd_files(uint8_t *p, size_t n) {
    (void)p;
    (void)n;
    DIR *dir = opendir(models_dir());
    int n_seen = 0;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (strncmp(e->d_name, "odd-", 4) != 0 || !strstr(e->d_name, ".gguf"))
            continue;
        char path[512];
        snprintf(path, sizeof path, "%s/%s", models_dir(), e->d_name);
        snprintf(shared->doing, sizeof shared->doing, "%s", e->d_name);
        n_seen++;
        if (try_path(path) && strncmp(e->d_name, "odd-bad-", 8) == 0)
            complain("a file that must be refused", "was accepted");
        if (getenv("AG_TEST_VERBOSE"))
            fprintf(stderr, "%s\n", shared->doing);
    }
    if (dir)
        closedir(dir);
    if (n_seen < 50)
        complain("odd files", "some are missing");
}

static void in_a_child(const char *model, void (*work)(uint8_t *p, size_t n)) {
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    size_t n = 0;
    uint8_t *p = must_read(model_path(model, NULL), &n);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
        for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
            signal(crashes[i], SIG_DFL); /* cmocka's handlers would run the other tests here */
        work(p, n);
        free(p);
        exit(shared->wrong[0] ? 1 : 0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    free(p);
    print_message("%ld refused, %ld ran\n", shared->n_refused, shared->n_ran);
    if (WIFSIGNALED(status))
        fail_msg("%s: crashed with signal %d", shared->doing, WTERMSIG(status));
    if (shared->wrong[0])
        fail_msg("%s", shared->wrong);
    if (WEXITSTATUS(status))
        fail_msg("%s: ended with code %d", shared->doing, WEXITSTATUS(status));
    munmap(shared, sizeof *shared);
}

static void every_truncation_is_refused(void **state) {
    (void)state;
    in_a_child("micro", truncate_everywhere);
    in_a_child("micro-latent", truncate_everywhere);
    in_a_child("micro-bert", truncate_everywhere);
}

static void every_damaged_byte_is_borne_or_refused(void **state) {
    (void)state;
    in_a_child("micro", damage_everywhere);
    in_a_child("micro-latent", damage_everywhere);
    in_a_child("micro-bert", damage_everywhere);
}

static void odd_keys_are_borne_or_refused(void **state) {
    (void)state;
    in_a_child("micro", odd_files);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_keys_are_borne_or_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_damaged_byte_is_borne_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
