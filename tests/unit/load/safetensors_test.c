#include "unit/load/folder.h"

#include "load/safetensors.h"

typedef struct table {
    ag_arena arena;
    ag_st_table t;
} table;

static ag_code parse(table *x, const void *p, size_t n, ag_err *err) {
    ag_arena_init(&x->arena, AG_ROOM_TEST, 1 << 24);
    assert_int_equal(ag_st_init(&x->t, &x->arena, NULL), AG_OK);
    return ag_st_parse(&x->t, ag_span_of(p, n), 0, "m.safetensors", err);
}

static void drop(table *x) {
    ag_st_deinit(&x->t);
    ag_arena_deinit(&x->arena);
}

/* A file with this header and n bytes of data. */
static void expect(const char *head, size_t n, ag_code code, const char *text) {
    ag_buf b;
    ag_buf_init(&b, AG_ROOM_TEST, 1 << 20);
    uint64_t length = strlen(head);
    ag_buf_add(&b, &length, 8);
    ag_buf_adds(&b, head);
    for (size_t i = 0; i < n; i++)
        ag_buf_addc(&b, 'x');
    table x;
    ag_err err = {0};
    ag_code found = parse(&x, b.p, b.n, &err);
    if (found != code || (code && !strstr(err.msg, text)))
        fail_msg("%s: %s \"%s\", expected %s with \"%s\"", head, ag_code_name(found), err.msg,
                 ag_code_name(code), text);
    drop(&x);
    ag_buf_deinit(&b);
}

static void make_good(ag_buf *out) {
    folder f = {0};
    folder_begin(&f);
    folder_tensor(&f, "a.weight", "BF16", "2,3", "abcdefghijkl", 12);
    folder_tensor(&f, "b", "F32", "", "wxyz", 4);
    folder_tensor(&f, "none", "I64", "0", "", 0);
    folder_encode(&f, out);
    ag_buf_deinit(&f.head);
    ag_buf_deinit(&f.data);
}

static void tensors_lie_where_the_header_says(void **state) {
    (void)state;
    ag_buf b;
    make_good(&b);
    table x;
    assert_int_equal(parse(&x, b.p, b.n, NULL), AG_OK);
    assert_int_equal(x.t.n, 3);
    const ag_st_tensor *a = ag_st_find(&x.t, ag_str("a.weight")),
                       *c = ag_st_find(&x.t, ag_str("b"));
    assert_int_equal(a->n_dims, 2);
    assert_int_equal(a->dim[0], 2);
    assert_int_equal(a->dim[1], 3);
    assert_int_equal(a->type, AG_ST_BF16);
    assert_memory_equal(a->data, "abcdefghijkl", 12);
    assert_int_equal(c->n_dims, 0);
    assert_memory_equal(c->data, "wxyz", 4);
    assert_null(ag_st_find(&x.t, ag_str("c")));
    drop(&x);
    ag_buf_deinit(&b);
}

static void wrong_headers_are_refused_with_the_reason(void **state) {
    (void)state;
#define T(dtype, shape, offsets)                                                                   \
    "{\"t\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
    expect(T("\"F32\"", "[2]", "[0,8]"), 8, AG_OK, "");
    expect(T("\"F32\"", "[2]", "[0,8]"), 7, AG_E_FORMAT,
           "tensor t ends at byte 70, but the file has 69");
    expect(T("\"F32\"", "[2]", "[0,4]"), 8, AG_E_FORMAT,
           "has 4 bytes of data, but its shape and dtype need 8");
    expect(T("\"F32\"", "[2]", "[8,0]"), 8, AG_E_FORMAT, "data_offsets should be [begin, end]");
    expect(T("\"F32\"", "[2]", "[-8,0]"), 8, AG_E_FORMAT, "data_offsets");
    expect(T("\"F32\"", "[2]", "[0.0,8]"), 8, AG_E_FORMAT, "data_offsets");
    expect(T("\"F32\"", "[2]", "[0,8,9]"), 8, AG_E_FORMAT, "data_offsets");
    expect(T("\"F32\"", "[-2]", "[0,8]"), 8, AG_E_FORMAT, "shape[0] is out of range");
    expect(T("\"F32\"", "[2147483648,2147483648,2147483648]", "[0,8]"), 8, AG_E_FORMAT, "shape[1]");
    expect(T("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 8, AG_E_FORMAT, "up to 8 numbers");
    expect(T("\"F32\"", "7", "[0,8]"), 8, AG_E_FORMAT, "shape should be an array");
    expect(T("\"F5\"", "[2]", "[0,8]"), 8, AG_E_UNSUPPORTED, "dtype F5; supported: F32");
    expect(T("3", "[2]", "[0,8]"), 8, AG_E_FORMAT, "dtype should be a string, it is an integer");
    expect("{\"t\":[]}", 8, AG_E_FORMAT, "tensor t should be an object, it is an array");
    expect("{\"t\":{},\"t\":{}}", 8, AG_E_FORMAT, "not valid JSON");
    expect("[]", 0, AG_E_FORMAT, "expected an object");
    expect("{", 0, AG_E_FORMAT, "not valid JSON at line 1");
#define U8(name, offsets)                                                                          \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":" offsets "}"
    expect("{" U8("p", "[0,2]") "," U8("q", "[1,3]") "}", 3, AG_E_FORMAT,
           "tensors p and q overlap");
    expect("{" U8("p", "[2,4]") "," U8("q", "[0,2]") "}", 4, AG_OK, "");
    char deep[256] = "{\"t\":";
    memset(deep + 5, '[', 100);
    expect(deep, 0, AG_E_FORMAT, "brackets nest deeper than 32");
}

static void files_that_are_something_else_are_refused(void **state) {
    (void)state;
    table x;
    ag_err err;
    const char lfs[] = "version https://git-lfs.github.com/spec/v1\noid sha256:00\n";
    assert_int_equal(parse(&x, lfs, sizeof lfs - 1, &err), AG_E_FORMAT);
    assert_non_null(strstr(err.msg, "git lfs pull"));
    drop(&x);
    assert_int_equal(parse(&x, "\377\377\377\377\377\377\377\177{}", 10, &err), AG_E_FORMAT);
    assert_non_null(strstr(err.msg, "ends inside its header"));
    drop(&x);
}

static void a_tensor_may_be_in_one_shard_only(void **state) {
    (void)state;
    ag_buf b;
    make_good(&b);
    table x;
    ag_err err;
    assert_int_equal(parse(&x, b.p, b.n, &err), AG_OK);
    assert_int_equal(ag_st_parse(&x.t, ag_buf_span(&b), 1, "n.safetensors", &err), AG_E_FORMAT);
    assert_non_null(strstr(err.msg, "tensor a.weight is in another shard already"));
    drop(&x);
    ag_buf_deinit(&b);
}

/* Exact copies, so that AddressSanitizer sees a read past the end. */
static void try_bytes(const char *p, size_t n) {
    char *copy = malloc(n ? n : 1);
    memcpy(copy, p, n);
    table x;
    ag_err err = {0};
    if (parse(&x, copy, n, &err) == AG_OK)
        for (size_t i = 0; i < x.t.n; i++) {
            const ag_st_tensor *t = &x.t.tensors[i];
            assert_true((const char *)t->data >= copy &&
                        (const char *)t->data + t->bytes <= copy + n);
        }
    else
        assert_true(err.msg[0]);
    drop(&x);
    free(copy);
}

static void truncation_at_every_length_is_survived(void **state) {
    (void)state;
    ag_buf b;
    make_good(&b);
    for (size_t n = 0; n < b.n; n++) {
        try_bytes(b.p, n);
        table x;
        assert_int_not_equal(parse(&x, b.p, n, NULL), AG_OK);
        drop(&x);
    }
    ag_buf_deinit(&b);
}

static void every_byte_may_be_wrong(void **state) {
    (void)state;
    static const char wrong[] = "\0\377\"{}[]:,09-\\x";
    ag_buf b;
    make_good(&b);
    for (size_t i = 0; i < b.n; i++) {
        char was = b.p[i];
        for (size_t k = 0; k < sizeof wrong - 1; k++) {
            b.p[i] = wrong[k];
            try_bytes(b.p, b.n);
        }
        b.p[i] = was;
    }
    ag_buf_deinit(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_lie_where_the_header_says),
        cmocka_unit_test(wrong_headers_are_refused_with_the_reason),
        cmocka_unit_test(files_that_are_something_else_are_refused),
        cmocka_unit_test(a_tensor_may_be_in_one_shard_only),
        cmocka_unit_test(truncation_at_every_length_is_survived),
        cmocka_unit_test(every_byte_may_be_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
