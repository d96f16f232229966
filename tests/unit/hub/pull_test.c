/* A whole pull with every allocation, read and write failing in turn: each failure is told, leaks
 * nothing, and the next pull goes on. */
#include "unit/test.h"

#include "base/fault.h"
#include "hub/pull.h"
#include "unit/net/server.h"

#include <stdlib.h>
#include <sys/stat.h>

#define COMMIT "1111111111111111111111111111111111111111"
#define DATA   "test"
#define SHA    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
#define BLOB   "30d74d258442c7c65512eafab474568dd706c430"

static const char list[] =
    "[{\"type\":\"file\",\"path\":\"config.json\",\"size\":4,\"oid\":\"" BLOB "\"},"
    "{\"type\":\"file\",\"path\":\"sub/a.gguf\",\"size\":4,\"oid\":\"\",\"lfs\":{\"oid\":\"" SHA
    "\",\"size\":4}}]";

/* What a hub with one file in two ways answers. */
static const char *answer_for(const char *asked) {
    static char text[1024];
    if (strstr(asked, "Range: bytes=2-"))
        return "HTTP/1.1 206 Rest\r\nContent-Range: bytes 2-3/4\r\nContent-Length: 2\r\n"
               "Connection: close\r\n\r\nst";
    const char *body = strstr(asked, "/resolve/")    ? DATA
                       : strstr(asked, "/tree/")     ? list
                       : strstr(asked, "/revision/") ? "{\"sha\":\"" COMMIT "\"}"
                                                     : NULL;
    if (!body)
        return "HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    snprintf(text, sizeof text,
             "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
             strlen(body), body);
    return text;
}

typedef struct fixture {
    server hub;
    char folder[64], url[64];
} fixture;

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    f->hub.answer_for = answer_for;
    server_open(&f->hub);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d", f->hub.port);
    snprintf(f->folder, sizeof f->folder, "/tmp/ag-pull-XXXXXX");
    *state = f;
    return mkdtemp(f->folder) ? 0 : -1;
}

static void clear(const fixture *f) {
    static const char *const names[] = {
        "sub/a.gguf",          "sub/a.gguf.partial",       "sub/a.gguf.partial.note", "config.json",
        "config.json.partial", "config.json.partial.note", ".autoglm-pull.json",      "sub"};
    char path[256];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", f->folder, names[i]);
        remove(path);
    }
}

static int tear_down(void **state) {
    fixture *f = *state;
    ag_fault_arm(AG_FAULT_ALLOC, 0, false);
    server_close(&f->hub);
    clear(f);
    assert_int_equal(rmdir(f->folder), 0); /* nothing else was left there */
    free(f);
    return 0;
}

static ag_code pull(const fixture *f, const char *file, ag_hub_result *r, ag_err *err) {
    ag_hub_spec spec = {.repo = "a/b"};
    const ag_hub_opts opts = {.endpoint = f->url, .token = "hf_x"};
    snprintf(spec.file, sizeof spec.file, "%s", file);
    return ag_hub_pull(&spec, f->folder, &opts, r, err);
}

static void check_there(const fixture *f, const char *file) {
    char path[256], text[16] = "";
    snprintf(path, sizeof path, "%s/%s", f->folder, file);
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    assert_int_equal(fread(text, 1, sizeof text, in), 4);
    assert_memory_equal(text, DATA, 4);
    fclose(in);
}

static void a_pull_brings_the_file(void **state) {
    const fixture *f = *state;
    ag_hub_result r;
    ag_err err = {0};
    for (int again = 0; again < 2; again++) {
        assert_int_equal(pull(f, "", &r, &err), AG_OK);
        assert_int_equal(r.n, 1);
        assert_string_equal(r.commit, COMMIT);
        assert_string_equal(r.files[0].path, "sub/a.gguf");
        assert_int_equal(r.files[0].state, again ? AG_HUB_WAS_THERE : AG_HUB_FETCHED);
        assert_int_equal(r.fetched, again ? 0 : 4);
        ag_hub_result_deinit(&r);
    }
    check_there(f, "sub/a.gguf");
    assert_int_equal(pull(f, "config.json", &r, &err), AG_OK);
    assert_false(r.files[0].is_sha256);
    ag_hub_result_deinit(&r);
    check_there(f, "config.json");
}

static void note_checking(void *ctx, ag_hub_phase phase, uint64_t done, uint64_t total) {
    *(bool *)ctx |= phase == AG_HUB_CHECKING && done > 0 && done <= total;
}

static bool is_set(void *ctx) { return *(bool *)ctx; }

static void write_file(const fixture *f, const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", f->folder, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void stopping_while_it_checks_keeps_what_is_there(void **state) {
    const fixture *f = *state;
    char folder[256];
    bool was_checking = false;
    ag_hub_result r;
    ag_err err = {0};
    ag_hub_spec spec = {.repo = "a/b"};
    const ag_hub_opts opts = {.endpoint = f->url,
                              .on_progress = note_checking,
                              .is_stopped = is_set,
                              .ctx = &was_checking};
    snprintf(folder, sizeof folder, "%s/sub", f->folder);
    assert_int_equal(mkdir(folder, 0755), 0);
    write_file(f, "sub/a.gguf.partial", "te");
    write_file(f, "sub/a.gguf.partial.note", SHA " 4\n\n");
    assert_int_equal(ag_hub_pull(&spec, f->folder, &opts, &r, &err), AG_E_CANCELLED);
    assert_int_equal(r.there, 2);
    ag_hub_result_deinit(&r);
    was_checking = false;
    assert_int_equal(pull(f, "", &r, &err), AG_OK);
    assert_int_equal(r.files[0].state, AG_HUB_RESUMED);
    assert_int_equal(r.fetched, 2);
    ag_hub_result_deinit(&r);
    check_there(f, "sub/a.gguf");
}

/* Fail the first, second, third ... until a pull is not touched any more. */
static void fail_each(const fixture *f, ag_fault kind, long most) {
    for (long n = 1;; n++) {
        assert_true(n < most);
        clear(f);
        for (const char *const *file = (const char *const[]){"sub/a.gguf", "config.json", NULL};
             *file; file++) {
            ag_hub_result r;
            ag_err err = {0};
            ag_fault_arm(kind, n, false);
            ag_code code = pull(f, *file, &r, &err);
            bool fired = ag_fault_fired(kind);
            ag_fault_arm(kind, 0, false);
            assert_true((code == AG_OK) == (err.msg[0] == '\0'));
            ag_hub_result_deinit(&r);
            if (code) {
                assert_true(fired);
                assert_int_equal(pull(f, *file, &r, &err), AG_OK);
                ag_hub_result_deinit(&r);
            }
            check_there(f, *file);
            if (!fired && !code && file[1] == NULL)
                return;
        }
    }
}

static void failing_allocations_are_told(void **state) { fail_each(*state, AG_FAULT_ALLOC, 500); }

static void failing_reads_are_told(void **state) { fail_each(*state, AG_FAULT_READ, 50); }

static void a_full_disk_is_told_and_gone_on_from(void **state) {
    const fixture *f = *state;
    ag_hub_result r;
    ag_err err = {0};
    ag_fault_arm(AG_FAULT_WRITE, 1, true);
    assert_int_equal(pull(f, "sub/a.gguf", &r, &err), AG_E_IO);
    ag_fault_arm(AG_FAULT_WRITE, 0, false);
    assert_non_null(strstr(err.msg, "the disk is full"));
    ag_hub_result_deinit(&r);
    fail_each(f, AG_FAULT_WRITE, 50);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_pull_brings_the_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stopping_while_it_checks_keeps_what_is_there, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(failing_allocations_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failing_reads_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_is_told_and_gone_on_from, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
