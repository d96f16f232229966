#include "unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "load/gguf.h"

/* ---- a writer, so that each test can say what is wrong with its file ---------------------------
 */

typedef struct writer {
    ag_buf b;
} writer;

static void put(writer *w, const void *p, size_t n) { assert_true(ag_buf_add(&w->b, p, n)); }
static void put32(writer *w, uint32_t x) { put(w, &x, 4); }
static void put64(writer *w, uint64_t x) { put(w, &x, 8); }
static void put_str(writer *w, const char *s) {
    put64(w, strlen(s));
    put(w, s, strlen(s));
}
static void key_u32(writer *w, const char *name, uint32_t x) {
    put_str(w, name);
    put32(w, AG_VALUE_U32);
    put32(w, x);
}
static void key_str(writer *w, const char *name, const char *x) {
    put_str(w, name);
    put32(w, AG_VALUE_STRING);
    put_str(w, x);
}
static void head(writer *w, uint64_t n_tensors, uint64_t n_keys) {
    ag_buf_init(&w->b, AG_ROOM_TEST, 1 << 20);
    put(w, "GGUF", 4);
    put32(w, 3);
    put64(w, n_tensors);
    put64(w, n_keys);
}
static void tensor(writer *w, const char *name, uint64_t cols, uint64_t rows, uint32_t type,
                   uint64_t at) {
    put_str(w, name);
    put32(w, 2);
    put64(w, cols);
    put64(w, rows);
    put32(w, type);
    put64(w, at);
}
static void pad_to(writer *w, size_t multiple, size_t extra) {
    while (w->b.n % multiple)
        put(w, "", 1);
    for (size_t i = 0; i < extra; i++)
        put(w, "\x3f", 1);
}

/* Opens what was written, expects `code` and, when it is an error, `text` in the message. */
static void expect(writer *w, ag_code code, const char *text) {
    ag_source *g = NULL;
    ag_err err = {0};
    assert_int_equal(ag_gguf_open_bytes(w->b.p, w->b.n, &g, &err), code);
    if (code) {
        assert_null(g);
        if (!strstr(err.msg, text))
            fail_msg("\"%s\" does not contain \"%s\"", err.msg, text);
    }
    ag_source_close(&g);
    ag_buf_deinit(&w->b);
}

static void write_good(writer *w) {
    head(w, 2, 4);
    key_str(w, "general.architecture", "llama");
    key_u32(w, "llama.block_count", 7);
    put_str(w, "list");
    put32(w, AG_VALUE_ARRAY);
    put32(w, AG_VALUE_STRING);
    put64(w, 3);
    put_str(w, "a");
    put_str(w, "");
    put_str(w, "ccc");
    put_str(w, "numbers");
    put32(w, AG_VALUE_ARRAY);
    put32(w, 1); /* i8 */
    put64(w, 2);
    put(w, "\xff\x05", 2);
    tensor(w, "x", 32, 2, AG_T_Q8_0, 0);
    tensor(w, "y", 4, 1, AG_T_F32, 96);
    pad_to(w, 32, 96 + 16);
}

/* ---- tests
 * ---------------------------------------------------------------------------------------- */

static void a_good_file_gives_its_keys_and_tensors(void **state) {
    (void)state;
    writer w;
    write_good(&w);
    ag_source *g = NULL;
    ag_err err;
    assert_int_equal(ag_gguf_open_bytes(w.b.p, w.b.n, &g, &err), AG_OK);
    assert_string_equal(ag_source_format(g), "GGUF 3");
    assert_int_equal(ag_source_n_keys(g), 4);
    uint32_t n = 0;
    assert_int_equal(ag_source_get_u32(g, "llama.block_count", &n, &err), AG_OK);
    assert_int_equal(n, 7);
    const ag_value *list = ag_source_find(g, "list");
    size_t at = 0;
    assert_true(ag_span_is(ag_value_next_str(list, &at), "a"));
    assert_true(ag_span_is(ag_value_next_str(list, &at), ""));
    assert_true(ag_span_is(ag_value_next_str(list, &at), "ccc"));
    const ag_value *numbers = ag_source_find(g, "numbers");
    assert_int_equal(ag_value_int(numbers, 0), -1);
    assert_int_equal(ag_value_int(numbers, 1), 5);
    const ag_tensor *x = ag_source_find_tensor(g, "x"), *y = ag_source_find_tensor(g, "y");
    assert_int_equal(x->bytes, 68);
    assert_int_equal(y->data - x->data, 96);
    assert_null(ag_source_find_tensor(g, "z"));
    ag_source_close(&g);
    ag_buf_deinit(&w.b);
}

static void wrong_kinds_of_keys_are_named(void **state) {
    (void)state;
    writer w;
    write_good(&w);
    ag_source *g = NULL;
    ag_err err;
    assert_int_equal(ag_gguf_open_bytes(w.b.p, w.b.n, &g, &err), AG_OK);
    uint32_t n = 99;
    ag_span s;
    assert_int_equal(ag_source_get_u32(g, "general.architecture", &n, &err), AG_E_FORMAT);
    assert_non_null(strstr(err.msg, "expected an unsigned integer, found a string"));
    assert_int_equal(ag_source_get_str(g, "list", &s, &err), AG_E_FORMAT);
    assert_int_equal(ag_source_get_u32(g, "absent", &n, &err), AG_E_NOT_FOUND);
    assert_int_equal(ag_source_opt_u32(g, "absent", &n, &err), AG_OK);
    assert_int_equal(n, 99);
    ag_source_close(&g);
    ag_buf_deinit(&w.b);
}

static void files_that_are_not_gguf_are_refused(void **state) {
    (void)state;
    writer w;
    ag_buf_init(&w.b, AG_ROOM_TEST, 100);
    put(&w, "GGML....", 8);
    expect(&w, AG_E_FORMAT, "not a GGUF file");
    head(&w, 0, 0);
    w.b.p[4] = 1;
    expect(&w, AG_E_UNSUPPORTED, "GGUF version 1");
}

static void counts_that_cannot_be_there_are_refused(void **state) {
    (void)state;
    writer w;
    head(&w, 0, UINT64_MAX);
    expect(&w, AG_E_FORMAT, "keys, more than can be there");
    head(&w, (uint64_t)1 << 40, 0);
    expect(&w, AG_E_FORMAT, "tensors, more than can be there");
    head(&w, 0, 1);
    put_str(&w, "k");
    put32(&w, AG_VALUE_ARRAY);
    put32(&w, AG_VALUE_F64);
    put64(&w, UINT64_MAX / 8 + 1);
    expect(&w, AG_E_FORMAT, "ends inside the keys");
    head(&w, 0, 1);
    put_str(&w, "k");
    put32(&w, AG_VALUE_STRING);
    put64(&w, UINT64_MAX);
    expect(&w, AG_E_FORMAT, "ends inside the keys");
}

static void doubled_names_and_strange_kinds_are_refused(void **state) {
    (void)state;
    writer w;
    head(&w, 0, 2);
    key_u32(&w, "k", 1);
    key_u32(&w, "k", 2);
    expect(&w, AG_E_FORMAT, "key k occurs twice");
    head(&w, 0, 1);
    put_str(&w, "k");
    put32(&w, 77);
    expect(&w, AG_E_FORMAT, "kind 77");
    head(&w, 0, 1);
    put_str(&w, "k");
    put32(&w, AG_VALUE_ARRAY);
    put32(&w, AG_VALUE_ARRAY);
    put64(&w, 1);
    expect(&w, AG_E_FORMAT, "nested arrays");
    head(&w, 0, 1);
    key_u32(&w, "general.alignment", 24);
    expect(&w, AG_E_FORMAT, "power of two");
}

static void tensors_must_lie_inside_the_file(void **state) {
    (void)state;
    writer w;
    head(&w, 1, 0);
    tensor(&w, "t", 32, 4, AG_T_F32, 0);
    pad_to(&w, 32, 511);
    expect(&w, AG_E_FORMAT, "tensor t needs bytes");
    head(&w, 1, 0);
    tensor(&w, "t", 32, 4, AG_T_F32, UINT64_MAX - 31);
    pad_to(&w, 32, 512);
    expect(&w, AG_E_FORMAT, "tensor t needs bytes");
    head(&w, 1, 0);
    tensor(&w, "t", 32, 1, AG_T_F32, 8);
    pad_to(&w, 32, 512);
    expect(&w, AG_E_FORMAT, "not a multiple of 32");
    head(&w, 1, 0);
    tensor(&w, "t", 33, 1, AG_T_Q4_0, 0);
    pad_to(&w, 32, 512);
    expect(&w, AG_E_FORMAT, "not a multiple of the 32 in a block of Q4_0");
    head(&w, 1, 0);
    tensor(&w, "t", (uint64_t)1 << 31, (uint64_t)1 << 31, AG_T_F32, 0);
    pad_to(&w, 32, 512);
    expect(&w, AG_E_FORMAT, "out of range");
    head(&w, 1, 0);
    tensor(&w, "t", 32, 1, 9999, 0);
    pad_to(&w, 32, 512);
    expect(&w, AG_E_UNSUPPORTED, "type 9999");
}

static void every_truncation_is_an_error_without_a_crash(void **state) {
    (void)state;
    writer w;
    write_good(&w);
    for (size_t n = 0; n < w.b.n; n++) {
        char *exact = malloc(n ? n : 1); /* so that ASan sees a read past the end */
        memcpy(exact, w.b.p, n);
        ag_source *g = NULL;
        ag_err err = {0};
        ag_code code = ag_gguf_open_bytes(exact, n, &g, &err);
        assert_int_equal(code, AG_E_FORMAT);
        assert_true(strlen(err.msg) > 10);
        free(exact);
    }
    ag_buf_deinit(&w.b);
}

static void write_part(const char *dir, int no, int count, int32_t n_tensors) {
    writer w;
    head(&w, 1, no == 1 ? 3 : 1);
    key_u32(&w, "split.count", (uint32_t)count);
    if (no == 1) {
        key_str(&w, "general.architecture", "llama");
        key_u32(&w, "split.tensors.count", (uint32_t)n_tensors);
    }
    char name[64], path[256];
    snprintf(name, sizeof name, "t%d", no);
    tensor(&w, name, 4, 1, AG_T_F32, 0);
    pad_to(&w, 32, 16);
    snprintf(path, sizeof path, "%s/m-%05d-of-%05d.gguf", dir, no, count);
    ag_err err;
    assert_int_equal(ag_file_write(path, ag_buf_span(&w.b), &err), AG_OK);
    ag_buf_deinit(&w.b);
}

static void remove_parts(const char *dir) {
    char path[256];
    for (int no = 1; no <= 3; no++) {
        snprintf(path, sizeof path, "%s/m-%05d-of-00003.gguf", dir, no);
        unlink(path);
    }
    rmdir(dir);
}

static void a_split_set_opens_from_any_of_its_parts(void **state) {
    (void)state;
    char dir[] = "/tmp/ag-gguf-XXXXXX", path[256];
    assert_non_null(mkdtemp(dir));
    for (int no = 1; no <= 3; no++)
        write_part(dir, no, 3, 3);
    ag_err err;
    ag_source *g = NULL;
    snprintf(path, sizeof path, "%s/m-00002-of-00003.gguf", dir);
    assert_int_equal(ag_gguf_open(path, &g, &err), AG_OK);
    assert_int_equal(ag_source_n_tensors(g), 3);
    assert_non_null(ag_source_find(g, "general.architecture"));
    assert_int_equal(ag_source_find_tensor(g, "t3")->file, 2);
    ag_source_close(&g);

    write_part(dir, 1, 3, 4);
    assert_int_equal(ag_gguf_open(path, &g, &err), AG_E_FORMAT);
    assert_non_null(strstr(err.msg, "should hold 4 tensors"));
    char third[256];
    snprintf(third, sizeof third, "%s/m-00003-of-00003.gguf", dir);
    unlink(third);
    assert_int_equal(ag_gguf_open(path, &g, &err), AG_E_NOT_FOUND);
    assert_non_null(strstr(err.msg, "part 3 of 3"));
    remove_parts(dir);
}

static void missing_files_and_folders_are_told_apart(void **state) {
    (void)state;
    ag_err err;
    ag_source *g = NULL;
    assert_int_equal(ag_gguf_open("/nonexistent/m.gguf", &g, &err), AG_E_NOT_FOUND);
    assert_int_equal(ag_gguf_open("/tmp", &g, &err), AG_E_IO);
    assert_non_null(strstr(err.msg, "is a directory"));
}

static void every_fault_while_opening_leaves_nothing_behind(void **state) {
    (void)state;
    writer w;
    write_good(&w);
    char path[] = "/tmp/ag-gguf-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, w.b.p, w.b.n), (ssize_t)w.b.n);
    close(fd);
    size_t before = ag_mem_bytes(AG_ROOM_LOAD);
    for (int kind = AG_FAULT_ALLOC; kind <= AG_FAULT_MMAP; kind++)
        for (long n = 1;; n++) {
            ag_err err;
            ag_source *g = NULL;
            ag_fault_arm((ag_fault)kind, n, false);
            ag_code code = ag_gguf_open(path, &g, &err);
            bool fired = ag_fault_fired((ag_fault)kind);
            ag_fault_arm((ag_fault)kind, 0, false);
            ag_source_close(&g);
            assert_int_equal(ag_mem_bytes(AG_ROOM_LOAD), before);
            assert_int_equal(code != AG_OK, fired);
            if (!fired)
                break;
        }
    unlink(path);
    ag_buf_deinit(&w.b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_gives_its_keys_and_tensors),
        cmocka_unit_test(wrong_kinds_of_keys_are_named),
        cmocka_unit_test(files_that_are_not_gguf_are_refused),
        cmocka_unit_test(counts_that_cannot_be_there_are_refused),
        cmocka_unit_test(doubled_names_and_strange_kinds_are_refused),
        cmocka_unit_test(tensors_must_lie_inside_the_file),
        cmocka_unit_test(every_truncation_is_an_error_without_a_crash),
        cmocka_unit_test(a_split_set_opens_from_any_of_its_parts),
        cmocka_unit_test(missing_files_and_folders_are_told_apart),
        cmocka_unit_test(every_fault_while_opening_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
