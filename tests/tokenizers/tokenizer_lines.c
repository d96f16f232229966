/* Encode and decode line by line, for comparing with other tokenizers by script.
 *
 *   tokenizer_lines MODEL             reads lines, answers each with one:
 *     e FLAGS HEX                     ids of the text (flags of ag_tokenizer_encode)
 *     d START SHOW ID...              text of the ids in hex
 *   tokenizer_lines MODEL TEXT        encodes TEXT three times and prints the speed
 *
 * MODEL is a GGUF file, or a folder with the tokenizer's files alone. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "load/gguf.h"
#include "load/hf_parts.h"
#include "text/tokenizer.h"

static int fail(const ag_err *err) {
    fprintf(stderr, "tokenizer_lines: %s: %s\n", ag_code_name(err->code), err->msg);
    return 1;
}

static int digit(char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; }

static ag_code encode(const ag_tokenizer *t, char *line, ag_err *err) {
    unsigned flags = (unsigned)strtoul(line, &line, 10);
    size_t n = 0;
    char *text = line + strspn(line, " ");
    for (char *p = text; p[0] > ' ' && p[1] > ' '; p += 2)
        text[n++] = (char)(digit(p[0]) * 16 + digit(p[1]));
    ag_ids ids = {0};
    ag_code code = ag_tokenizer_encode(t, ag_span_of(text, n), flags, &ids, err);
    for (size_t i = 0; i < ids.n && code == AG_OK; i++)
        printf("%s%d", i ? " " : "", ids.v[i]);
    ag_ids_deinit(&ids);
    return code;
}

static ag_code decode(const ag_tokenizer *t, char *line, ag_err *err) {
    bool start = strtol(line, &line, 10), show = strtol(line, &line, 10);
    ag_detok d;
    ag_detok_init(&d, t, start, show);
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_TEST, AG_MAX_TEXT_BYTES);
    for (char *end;; line = end) {
        long id = strtol(line, &end, 10);
        if (end == line)
            break;
        ag_detok_push(&d, (int32_t)id, &out);
    }
    ag_detok_flush(&d, &out);
    for (size_t i = 0; i < out.n; i++)
        printf("%02x", (unsigned char)out.p[i]);
    ag_code code = ag_buf_check(&out, "decoded text", err);
    ag_buf_deinit(&out);
    return code;
}

static int serve(const ag_tokenizer *t) {
    char *line = NULL;
    size_t room = 0;
    ag_err err = {0};
    ag_code code = AG_OK;
    while (code == AG_OK && getline(&line, &room, stdin) > 1) {
        code = line[0] == 'e' ? encode(t, line + 1, &err) : decode(t, line + 1, &err);
        putchar('\n');
        fflush(stdout);
    }
    free(line);
    return code == AG_OK ? 0 : fail(&err);
}

static int measure(const ag_tokenizer *t, const char *path) {
    ag_err err = {0};
    ag_file_map m;
    if (ag_file_map_open(&m, path, &err) != AG_OK)
        return fail(&err);
    for (int i = 0; i < 3; i++) {
        ag_ids ids = {0};
        clock_t at = clock(); /* processor time: the machine may be busy */
        if (ag_tokenizer_encode(t, ag_span_of(m.p, m.n), AG_ENCODE_SPECIAL, &ids, &err) != AG_OK)
            return fail(&err);
        double us = (double)(clock() - at) * 1e6 / CLOCKS_PER_SEC;
        printf("%zu bytes, %zu tokens, %.1f ms, %.1f MB/s\n", m.n, ids.n, us / 1e3,
               (double)m.n / us);
        ag_ids_deinit(&ids);
    }
    ag_file_map_close(&m);
    return 0;
}

static ag_code open_model(const char *path, ag_source **out, ag_err *err) {
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return ag_gguf_open(path, out, err);
    ag_code code = ag_source_new(path, "folder", out, err);
    return code == AG_OK ? ag_hf_tokenizer_read(*out, path, err) : code;
}

int main(int argc, char **argv) {
    ag_err err = {0};
    ag_source *g = NULL;
    ag_tokenizer *t = NULL;
    if (argc < 2 || open_model(argv[1], &g, &err) != AG_OK)
        return fail(&err);
    uint64_t at = ag_clock_us();
    int rc = 1;
    if (ag_tokenizer_from_source(g, &t, &err) != AG_OK)
        fail(&err);
    else {
        fprintf(stderr, "built %d tokens in %.1f ms\n", ag_tokenizer_n(t),
                (double)(ag_clock_us() - at) / 1e3);
        rc = argc > 2 ? measure(t, argv[2]) : serve(t);
    }
    ag_tokenizer_free(&t);
    ag_source_close(&g);
    return rc;
}
