#include "hub/parts.h"

#include <errno.h>
#include <jansson.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/file.h"
#include "base/limits.h"

char *ag_hub_join(const char *folder, const char *path, const char *suffix) {
    ag_buf b;
    size_t n = strlen(folder);
    ag_buf_init(&b, AG_ROOM_HUB, n + strlen(path) + strlen(suffix) + 2);
    ag_buf_addf(&b, "%s%s%s%s", folder, n && folder[n - 1] == '/' ? "" : "/", path, suffix);
    char *text = b.failed ? NULL : ag_strndup(AG_ROOM_HUB, b.p, b.n);
    ag_buf_deinit(&b);
    return text;
}

ag_code ag_hub_fail_errno(const char *path, const char *verb, ag_err *err) {
    int e = errno;
    char room[128];
    if (e == ENOSPC || e == EDQUOT)
        return ag_fail(err, AG_E_IO, "%s: the disk is full; make room and pull again", path);
    return ag_fail(err, AG_E_IO, "%s: cannot %s: %s", path, verb, strerror_r(e, room, sizeof room));
}

ag_code ag_hub_make_folder(const char *folder, ag_err *err) {
    struct stat st;
    char *inside = ag_hub_join(folder, "", "");
    ag_code code =
        inside ? ag_file_make_parents(inside, err) : ag_fail(err, AG_E_NOMEM, "out of memory");
    ag_free(inside);
    if (!code && (stat(folder, &st) != 0 || !S_ISDIR(st.st_mode)))
        code = ag_fail(err, AG_E_IO, "%s: is no folder", folder);
    return code;
}

uint64_t ag_hub_free_bytes(const char *folder) {
    struct statvfs fs;
    if (statvfs(folder, &fs) != 0)
        return UINT64_MAX;
    return (uint64_t)fs.f_bavail * (uint64_t)fs.f_frsize;
}

/* ---- the record ------------------------------------------------------------------------------ */

ag_code ag_hub_read_record(const char *folder, char *repo, size_t room, ag_err *err) {
    ag_buf text;
    repo[0] = '\0';
    char *path = ag_hub_join(folder, AG_HUB_RECORD, "");
    if (!path)
        return ag_fail(err, AG_E_NOMEM, "out of memory");
    ag_buf_init(&text, AG_ROOM_HUB, AG_MAX_CONFIG_BYTES);
    ag_code code = ag_file_read(path, &text, err);
    if (code == AG_E_NOT_FOUND) {
        code = AG_OK;
        if (err)
            *err = (ag_err){0};
    } else if (!code) {
        json_t *v = json_loadb(text.p ? text.p : "", text.n, 0, NULL);
        const char *s = json_string_value(json_object_get(v, "repo"));
        if (s && strlen(s) < room)
            memcpy(repo, s, strlen(s) + 1);
        else
            code = ag_fail(err, AG_E_FORMAT,
                           "%s: not what an earlier pull writes; remove it to go "
                           "on",
                           path);
        json_decref(v);
    }
    ag_buf_deinit(&text);
    ag_free(path);
    return code;
}

static int add_json(const char *p, size_t n, void *text) { return ag_buf_add(text, p, n) ? 0 : -1; }

ag_code ag_hub_write_record(const ag_hub *h, ag_err *err) {
    ag_buf text;
    char *path = ag_hub_join(h->folder, AG_HUB_RECORD, "");
    json_t *v = json_pack("{s:s, s:s, s:s, s:s}", "repo", h->repo, "revision", h->revision,
                          "commit", h->out->commit, "endpoint", h->endpoint);
    ag_code code = AG_OK;
    ag_buf_init(&text, AG_ROOM_HUB, 65536);
    if (!path || !v || json_dump_callback(v, add_json, &text, JSON_INDENT(1)) != 0 ||
        !ag_buf_addc(&text, '\n'))
        code = ag_fail(err, AG_E_NOMEM, "out of memory");
    else
        code = ag_file_write(path, ag_buf_span(&text), err);
    json_decref(v);
    ag_buf_deinit(&text);
    ag_free(path);
    return code;
}
