/* autoglm tokenize: text to ids and back, with nothing but the tokenizer loaded. */
#include <string.h>

#include "base/limits.h"
#include "cli/input.h"
#include "cli/out.h"
#include "load/source.h"

static const char *type_name(ag_token_type t) {
    switch (t) {
    case AG_TOKEN_NORMAL:
        return "normal";
    case AG_TOKEN_UNKNOWN:
        return "unknown";
    case AG_TOKEN_CONTROL:
        return "control";
    case AG_TOKEN_USER_DEFINED:
        return "user";
    case AG_TOKEN_UNUSED:
        return "unused";
    case AG_TOKEN_BYTE:
        return "byte";
    }
    return "other";
}

static void print_ids(const ag_ids *ids) {
    for (size_t i = 0; i < ids->n; i++)
        ag_cli_out("%s%d", i ? " " : "", ids->v[i]);
    ag_cli_out("\n");
}

static void print_table(const ag_tokenizer *t, const ag_ids *ids) {
    for (size_t i = 0; i < ids->n; i++) {
        ag_cli_out("%8d  %-8s \"", ids->v[i], type_name(ag_tokenizer_type(t, ids->v[i])));
        ag_cli_out_name(ag_tokenizer_bytes(t, ids->v[i]));
        ag_cli_out("\"\n");
    }
}

static json_t *json_tokens(const ag_tokenizer *t, const ag_ids *ids) {
    json_t *numbers = json_array(), *pieces = json_array();
    for (size_t i = 0; i < ids->n; i++) {
        json_array_append_new(numbers, json_integer(ids->v[i]));
        json_array_append_new(pieces, ag_cli_json_text(ag_tokenizer_bytes(t, ids->v[i])));
    }
    return json_pack("{s:I, s:o, s:o}", "n", (json_int_t)ids->n, "ids", numbers, "tokens", pieces);
}

static int encode(const ag_cli_args *a, const ag_tokenizer *t) {
    ag_buf text;
    ag_ids ids = {0};
    ag_err err = {0};
    ag_buf_init(&text, AG_ROOM_CLI, AG_MAX_TEXT_BYTES);
    int status = ag_cli_text(a, "text", &text);
    if (status)
        goto out;
    unsigned flags = (a->no_bos ? 0 : AG_ENCODE_BOS) | (a->special ? AG_ENCODE_SPECIAL : 0);
    if (ag_tokenizer_encode(t, ag_buf_span(&text), flags, &ids, &err)) {
        status = ag_cli_fail(&err);
        goto out;
    }
    if (a->json)
        ag_cli_out_json(json_tokens(t, &ids));
    else if (a->ids_only)
        print_ids(&ids);
    else
        print_table(t, &ids);
out:
    ag_ids_deinit(&ids);
    ag_buf_deinit(&text);
    return status;
}

static ag_code decode_into(const ag_cli_args *a, const ag_tokenizer *t, const ag_ids *ids,
                           ag_buf *text, ag_err *err) {
    ag_detok d;
    ag_detok_init(&d, t, true, a->special);
    for (size_t i = 0; i < ids->n; i++) {
        if (ids->v[i] >= ag_tokenizer_n(t))
            return ag_fail(err, AG_E_ARG, "token ids: %d is past the vocabulary of %d tokens",
                           ids->v[i], ag_tokenizer_n(t));
        ag_detok_push(&d, ids->v[i], text);
    }
    ag_detok_flush(&d, text);
    return ag_buf_check(text, "the text", err);
}

static int decode(const ag_cli_args *a, const ag_tokenizer *t) {
    ag_buf text;
    ag_ids ids = {0};
    ag_err err = {0};
    int status = AG_CLI_DONE;
    ag_buf_init(&text, AG_ROOM_CLI, AG_MAX_TEXT_BYTES);
    if (ag_cli_parse_ids(a->decode, &ids, &err)) {
        status = ag_cli_usage("--decode: %s", err.msg);
    } else if (decode_into(a, t, &ids, &text, &err)) {
        status = ag_cli_fail(&err);
    } else if (a->json) {
        ag_cli_out_json(json_pack("{s:o}", "text", ag_cli_json_text(ag_buf_span(&text))));
    } else {
        ag_cli_out_text(ag_buf_span(&text));
        ag_cli_out("\n");
    }
    ag_ids_deinit(&ids);
    ag_buf_deinit(&text);
    return status;
}

int ag_cli_tokenize(const ag_cli_args *a) {
    ag_source *g = NULL;
    ag_tokenizer *t = NULL;
    ag_err err = {0};
    if (a->decode && (a->n_pos > 0 || a->file))
        return ag_cli_usage("tokenize: --decode takes ids, not a text besides");
    char path[PATH_MAX];
    int status = ag_cli_model_path(a, path);
    if (status)
        return status;
    if (ag_source_open(path, &g, &err) || ag_tokenizer_from_source(g, &t, &err))
        status = ag_cli_fail(&err);
    else
        status = a->decode ? decode(a, t) : encode(a, t);
    ag_tokenizer_free(&t);
    ag_source_close(&g);
    return status;
}
