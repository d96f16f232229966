/* What the files of the room share. Private to it. */
#ifndef AG_SERVER_PARTS_H
#define AG_SERVER_PARTS_H

#include <stdatomic.h>

#include "http/http.h"
#include "routes/routes.h"
#include "server/server.h"

struct ag_server {
    ag_server_opts opts;
    const ag_config *config; /* the last one given: of opts.config, what a reload cannot change */
    ag_served_decl *decls;   /* owned [n_models] */
    ag_buf *templates;       /* owned [n_models]: texts of chat templates */
    size_t n_models;
    ag_keys **keys; /* owned [n_keys]: those in force last, and those of before */
    size_t n_keys;
    ag_metrics *metrics;
    ag_runtime *runtime;
    ag_routes *routes;
    _Atomic(ag_http *) http; /* NULL: not listening; scrapes of its own thread look at it */
};

/* A number of the configuration for an option that is narrower. */
static inline uint32_t ag_server_u32(uint64_t v) {
    return v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
}

/* decl.c: what the runtime is told of the configuration's models. AG_E_NOMEM, and what reading a
 * template gives. */
ag_code ag_server_declare(ag_server *s, ag_err *err) AG_MUST_USE;
void ag_server_undeclare(ag_server *s);

#endif
