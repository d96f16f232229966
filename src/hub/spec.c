#include "hub/spec.h"

#include "base/utf8.h"

bool ag_hub_is_hex(ag_span s, size_t n) {
    if (s.n != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return true;
}

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* An owner or a repository: the hub's own rules. */
static bool is_name(ag_span s) {
    if (s.n == 0 || s.n > AG_HUB_MAX_NAME || !is_word(s.p[0]) || !is_word(s.p[s.n - 1]))
        return false;
    for (size_t i = 1; i < s.n; i++)
        if (!(is_word(s.p[i]) || s.p[i] == '-' || s.p[i] == '.') ||
            (s.p[i] == s.p[i - 1] && (s.p[i] == '-' || s.p[i] == '.')))
            return false;
    return true;
}

bool ag_hub_is_revision(ag_span s) {
    if (s.n == 0 || s.n > AG_HUB_MAX_REVISION || s.p[0] == '/' || s.p[0] == '-' ||
        s.p[s.n - 1] == '/')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] <= 0x20 || s.p[i] == 0x7f || strchr("~^:?*[\\%#", s.p[i]))
            return false;
        if (i > 0 && s.p[i] == s.p[i - 1] && (s.p[i] == '.' || s.p[i] == '/'))
            return false;
    }
    return ag_utf8_is_valid(s);
}

static bool is_part(ag_span s) {
    return s.n > 0 && s.n <= AG_HUB_MAX_PART && !ag_span_is(s, ".") && !ag_span_is(s, "..") &&
           !ag_span_ends(s, ag_str(AG_HUB_PARTIAL)) && !ag_span_ends(s, ag_str(AG_HUB_NOTE)) &&
           !ag_span_is(s, AG_HUB_RECORD);
}

bool ag_hub_is_path(ag_span path) {
    if (path.n == 0 || path.n > AG_HUB_MAX_PATH || !ag_utf8_is_valid(path))
        return false;
    for (size_t i = 0; i < path.n; i++)
        if ((unsigned char)path.p[i] < 0x20 || path.p[i] == 0x7f || path.p[i] == '\\')
            return false;
    for (size_t from = 0, to; from <= path.n; from = to + 1) {
        to = ag_span_find(path, ag_str("/"), from);
        if (to == SIZE_MAX)
            to = path.n;
        if (!is_part(ag_span_sub(path, from, to)))
            return false;
    }
    return true;
}

static void keep(ag_span s, char *to) {
    memcpy(to, s.p, s.n);
    to[s.n] = '\0';
}

ag_code ag_hub_spec_parse(const char *text, ag_hub_spec *out, ag_err *err) {
    *out = (ag_hub_spec){0};
    ag_span s = ag_str(text);
    if (!ag_span_starts(s, ag_str("hf:")))
        return ag_fail(err, AG_E_ARG, "expected hf:OWNER/NAME[@REVISION][:FILE], found \"%.200s\"",
                       text);
    s = ag_span_sub(s, 3, s.n);
    size_t colon = ag_span_find(s, ag_str(":"), 0);
    ag_span file = colon == SIZE_MAX ? (ag_span){0} : ag_span_sub(s, colon + 1, s.n);
    s = ag_span_sub(s, 0, colon);
    size_t at = ag_span_find(s, ag_str("@"), 0);
    ag_span revision = at == SIZE_MAX ? (ag_span){0} : ag_span_sub(s, at + 1, s.n);
    s = ag_span_sub(s, 0, at);
    size_t slash = ag_span_find(s, ag_str("/"), 0);
    if (slash == SIZE_MAX || !is_name(ag_span_sub(s, 0, slash)) ||
        !is_name(ag_span_sub(s, slash + 1, s.n)))
        return ag_fail(err, AG_E_ARG,
                       "\"%.*s\" is no repository of a hub: expected OWNER/NAME, of letters, "
                       "digits, and single - . or _ in between",
                       (int)(s.n < 200 ? s.n : 200), s.p);
    if (at != SIZE_MAX && !ag_hub_is_revision(revision))
        return ag_fail(err, AG_E_ARG, "what follows the @ is no branch, tag or commit");
    if (colon != SIZE_MAX && !ag_hub_is_path(file))
        return ag_fail(err, AG_E_ARG,
                       "what follows the : is no file of a repository and no quantisation");
    keep(s, out->repo);
    keep(revision.p ? revision : ag_str(""), out->revision);
    keep(file.p ? file : ag_str(""), out->file);
    return AG_OK;
}
