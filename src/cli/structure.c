#include "cli/structure.h"

#include <string.h>

#include "base/file.h"
#include "base/json_out.h"
#include "cli/input.h"
#include "cli/out.h"

/* A schema given itself begins as one; anything else is the name of a file. */
static bool is_schema(const char *value) {
    value += strspn(value, " \t\r\n");
    return *value == '{' || strcmp(value, "true") == 0 || strcmp(value, "false") == 0;
}

static ag_code read_text(const char *path, ag_buf *text, ag_err *err) {
    ag_code code = ag_file_read(path, text, err);
    return code ? code : ag_cli_check_utf8(ag_buf_span(text), path, err);
}

static ag_code write_choice(const ag_cli_list *list, ag_buf *text, ag_err *err) {
    ag_json_open(text, '[');
    for (size_t i = 0; i < list->n; i++) {
        ag_code code = ag_cli_check_utf8(ag_str(list->v[i]), "--choice", err);
        if (code)
            return code;
        ag_json_str(text, list->v[i]);
    }
    ag_json_close(text, ']');
    return ag_buf_check(text, "--choice", err);
}

int ag_cli_structure(const ag_cli_args *a, ag_buf *text, ag_structure *out) {
    int n = a->json_object + (a->json_schema != NULL) + (a->regex != NULL) + (a->choice.n > 0) +
            (a->grammar != NULL);
    ag_err err = {0};
    ag_code code = AG_OK;
    *out = (ag_structure){0};
    if (n > 1)
        return ag_cli_usage("%s: only one of --json-object, --json-schema, --regex, --choice and "
                            "--grammar can be given",
                            a->command->name);
    if (n == 0)
        return AG_CLI_DONE;
    if (a->json_object) {
        out->kind = AG_STRUCTURE_JSON_OBJECT;
    } else if (a->json_schema) {
        out->kind = AG_STRUCTURE_JSON_SCHEMA;
        code = is_schema(a->json_schema)
                   ? (ag_buf_adds(text, a->json_schema), ag_buf_check(text, "--json-schema", &err))
                   : read_text(a->json_schema, text, &err);
    } else if (a->regex) {
        out->kind = AG_STRUCTURE_REGEX;
        ag_buf_adds(text, a->regex);
        code = ag_buf_check(text, "--regex", &err);
    } else if (a->grammar) {
        out->kind = AG_STRUCTURE_GRAMMAR;
        code = read_text(a->grammar, text, &err);
    } else {
        out->kind = AG_STRUCTURE_CHOICE;
        code = write_choice(&a->choice, text, &err);
    }
    out->text = text->p;
    out->len = text->n;
    return code ? ag_cli_fail(&err) : AG_CLI_DONE;
}
