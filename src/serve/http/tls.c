#include "http/tls.h"

#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"

enum {
    LOOK_US = 1000000,   /* between looks at the files */
    KEEP_US = 600000000, /* a replaced pair, for handshakes that have begun with it */
};

/* A pair that is in use, or was: handshakes keep pointers into it. */
typedef struct tls_pair {
    struct tls_pair *older;
    gnutls_pcert_st certs[AG_MAX_CERT_CHAIN];
    unsigned n_certs;
    gnutls_privkey_t key;
    uint64_t replaced_us; /* 0: the one that new connections get */
} tls_pair;

struct ag_http_tls_state {
    char *cert_file, *key_file;
    void (*warn)(void *ctx, const char *line);
    void *ctx;
    tls_pair *pair; /* newest first; never NULL */
    struct stat cert_stat, key_stat;
    uint64_t looked_us;
    ag_err told; /* why the files are not taken, as `warn` has heard it */
};

static _Thread_local ag_http_tls_state *current;

static void free_pair(tls_pair *p) {
    for (unsigned i = 0; i < p->n_certs; i++)
        gnutls_pcert_deinit(&p->certs[i]);
    if (p->key)
        gnutls_privkey_deinit(p->key);
    ag_free(p);
}

static ag_code read_pem(const char *path, gnutls_datum_t *out, ag_buf *buf, ag_err *err) {
    ag_buf_init(buf, AG_ROOM_HTTP, AG_MAX_PEM_BYTES);
    ag_code code = ag_file_read(path, buf, err);
    *out = (gnutls_datum_t){(unsigned char *)buf->p, (unsigned)buf->n};
    return code;
}

static ag_code read_cert(tls_pair *p, const char *path, ag_err *err) {
    ag_buf buf;
    gnutls_datum_t pem;
    ag_code code = read_pem(path, &pem, &buf, err);
    if (code == AG_OK) {
        unsigned n = AG_MAX_CERT_CHAIN;
        int rc = gnutls_pcert_list_import_x509_raw(p->certs, &n, &pem, GNUTLS_X509_FMT_PEM, 0);
        if (rc < 0)
            code = ag_fail(err, AG_E_IO, "%s: not a certificate chain in PEM: %s", path,
                           gnutls_strerror(rc));
        else
            p->n_certs = n;
    }
    ag_buf_deinit(&buf);
    return code;
}

static ag_code read_key(tls_pair *p, const char *path, ag_err *err) {
    ag_buf buf;
    gnutls_datum_t pem;
    ag_code code = read_pem(path, &pem, &buf, err);
    int rc = code == AG_OK ? gnutls_privkey_init(&p->key) : 0;
    if (code == AG_OK && rc >= 0)
        rc = gnutls_privkey_import_x509_raw(p->key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (rc < 0)
        code = ag_fail(err, AG_E_IO, "%s: not a private key in PEM: %s", path, gnutls_strerror(rc));
    if (buf.p)
        gnutls_memset(buf.p, 0, buf.n);
    ag_buf_deinit(&buf);
    return code;
}

/* A key that belongs to another certificate would fail every handshake. */
static ag_code check_match(const tls_pair *p, const char *cert, const char *key, ag_err *err) {
    unsigned char a[64], b[64];
    size_t na = sizeof a, nb = sizeof b;
    gnutls_pubkey_t pub;
    if (gnutls_pubkey_init(&pub) < 0)
        return ag_fail(err, AG_E_NOMEM, "%s: out of memory", key);
    int rc = gnutls_pubkey_import_privkey(pub, p->key, 0, 0);
    if (rc >= 0)
        rc = gnutls_pubkey_get_key_id(pub, GNUTLS_KEYID_USE_SHA256, a, &na);
    if (rc >= 0)
        rc = gnutls_pubkey_get_key_id(p->certs[0].pubkey, GNUTLS_KEYID_USE_SHA256, b, &nb);
    gnutls_pubkey_deinit(pub);
    if (rc < 0)
        return ag_fail(err, AG_E_IO, "%s: unusable key: %s", key, gnutls_strerror(rc));
    if (na != nb || memcmp(a, b, na) != 0)
        return ag_fail(err, AG_E_IO, "%s: this key does not belong to the certificate %s", key,
                       cert);
    return AG_OK;
}

static ag_code read_pair(ag_http_tls_state *t, ag_err *err) {
    tls_pair *p = ag_calloc(AG_ROOM_HTTP, 1, sizeof *p);
    if (!p)
        return ag_fail(err, AG_E_NOMEM, "%s: out of memory", t->cert_file);
    ag_code code = read_cert(p, t->cert_file, err);
    if (code == AG_OK)
        code = read_key(p, t->key_file, err);
    if (code == AG_OK)
        code = check_match(p, t->cert_file, t->key_file, err);
    if (code != AG_OK) {
        free_pair(p);
        return code;
    }
    if (t->pair)
        t->pair->replaced_us = ag_clock_us();
    p->older = t->pair;
    t->pair = p;
    return AG_OK;
}

/* True when either file is not what it was. */
static bool changed(ag_http_tls_state *t) {
    struct stat cert = {0}, key = {0};
    if (stat(t->cert_file, &cert) != 0 || stat(t->key_file, &key) != 0)
        return false; /* being replaced, or gone: what is loaded stays */
    bool same = cert.st_ino == t->cert_stat.st_ino && key.st_ino == t->key_stat.st_ino &&
                cert.st_size == t->cert_stat.st_size && key.st_size == t->key_stat.st_size &&
                memcmp(&cert.st_mtim, &t->cert_stat.st_mtim, sizeof cert.st_mtim) == 0 &&
                memcmp(&key.st_mtim, &t->key_stat.st_mtim, sizeof key.st_mtim) == 0;
    t->cert_stat = cert;
    t->key_stat = key;
    return !same;
}

ag_code ag_http_tls_open(const char *cert_file, const char *key_file,
                         void (*warn)(void *ctx, const char *line), void *ctx,
                         ag_http_tls_state **out, ag_err *err) {
    ag_http_tls_state *t = ag_calloc(AG_ROOM_HTTP, 1, sizeof *t);
    ag_code code = AG_E_NOMEM;
    if (t) {
        *t = (ag_http_tls_state){.warn = warn, .ctx = ctx};
        t->cert_file = ag_strndup(AG_ROOM_HTTP, cert_file, strlen(cert_file));
        t->key_file = ag_strndup(AG_ROOM_HTTP, key_file, strlen(key_file));
    }
    if (!t || !t->cert_file || !t->key_file) {
        ag_fail(err, AG_E_NOMEM, "%s: out of memory", cert_file);
    } else {
        (void)changed(t);
        code = read_pair(t, err);
    }
    if (code != AG_OK)
        ag_http_tls_close(&t);
    *out = t;
    return code;
}

void ag_http_tls_close(ag_http_tls_state **t) {
    if (!*t)
        return;
    for (tls_pair *p = (*t)->pair, *older; p; p = older) {
        older = p->older;
        free_pair(p);
    }
    ag_free((*t)->cert_file);
    ag_free((*t)->key_file);
    ag_free(*t);
    *t = NULL;
}

static void drop_old(ag_http_tls_state *t, uint64_t now) {
    tls_pair **at = &t->pair;
    while (*at) {
        tls_pair *p = *at;
        if (p->replaced_us && now - p->replaced_us > KEEP_US) {
            *at = p->older;
            free_pair(p);
        } else {
            at = &p->older;
        }
    }
}

/* What could not be read is tried again: another right, or the other half of the pair, may have
 * been missing, and neither need show in the files' times. */
static void read_again(ag_http_tls_state *t) {
    ag_err err = {0};
    if (read_pair(t, &err) != AG_OK) {
        ag_err_wrap(&err, err.code, "the TLS certificate stays the old one");
        t->cert_stat = (struct stat){0};
        if (t->warn && strcmp(err.msg, t->told.msg) != 0)
            t->warn(t->ctx, err.msg);
    }
    t->told = err;
}

void ag_http_tls_refresh(ag_http_tls_state *t) {
    uint64_t now = ag_clock_us();
    if (now - t->looked_us < LOOK_US)
        return;
    t->looked_us = now;
    drop_old(t, now);
    if (changed(t))
        read_again(t);
}

void ag_http_tls_send(struct MHD_Connection *c, ag_span bytes) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (info && info->tls_session)
        (void)gnutls_record_send((gnutls_session_t)info->tls_session, bytes.p, bytes.n);
}

void ag_http_tls_use(ag_http_tls_state *t) { current = t; }

int ag_http_tls_pick(gnutls_session_t session, const gnutls_datum_t *ca, int n_ca,
                     const gnutls_pk_algorithm_t *algos, int n_algos, gnutls_pcert_st **certs,
                     unsigned *n_certs, gnutls_privkey_t *key) {
    (void)session, (void)ca, (void)n_ca, (void)algos, (void)n_algos;
    *certs = current->pair->certs;
    *n_certs = current->pair->n_certs;
    *key = current->pair->key;
    return 0;
}
