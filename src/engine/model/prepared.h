/* Private to model/: packed weights of earlier starts (load/image.h). What they were packed from
 * and for whom makes the key, so nothing about an image that is found needs to be compared: the
 * files, what becomes of every tensor and where it goes, the kernels, and this program's version.
 */
#ifndef AG_MODEL_PREPARED_H
#define AG_MODEL_PREPARED_H

#include "model/bind.h"

typedef struct ag_prepared {
    char key[AG_SHA256_TEXT]; /* "": images are of no use here */
} ag_prepared;

/* Take the weights from an image, if there is a good one: m->image is open then. A bad one is told
 * in the log. */
void ag_prepared_find(ag_prepared *p, ag_model *m, const ag_binding *plan, const ag_source *src,
                      const ag_model_opts *opts, ag_pool *pool);
/* Begin to write the image that was not found. */
void ag_prepared_keep(const ag_prepared *p, ag_model *m, const ag_model_opts *opts);

#endif
