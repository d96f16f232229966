/* What is asked of a hub: hf:OWNER/NAME[@REVISION][:FILE], and which names may become paths here.
 * Pure; any thread. */
#ifndef AG_HUB_SPEC_H
#define AG_HUB_SPEC_H

#include "base/span.h"

#define AG_HUB_MAX_NAME     96u   /* of an owner or a repository: the hub's own limit */
#define AG_HUB_MAX_REVISION 255u  /* a branch, tag or commit */
#define AG_HUB_MAX_PATH     1024u /* of a file in a repository */
#define AG_HUB_MAX_PART     240u  /* of one part of a path: file systems have 255 with a suffix */

/* What a pull keeps beside the files of a model. */
#define AG_HUB_PARTIAL ".partial"           /* an unfinished file; whoever fetches it locks it */
#define AG_HUB_NOTE    ".partial.note"      /* what an unfinished file is the beginning of */
#define AG_HUB_RECORD  ".autoglm-pull.json" /* which repository a folder's files are of */

typedef struct ag_hub_spec {
    char repo[2 * AG_HUB_MAX_NAME + 2];     /* "OWNER/NAME" */
    char revision[AG_HUB_MAX_REVISION + 1]; /* "": none was given */
    char file[AG_HUB_MAX_PATH + 1];         /* a file or a quantisation; "": none was given */
} ag_hub_spec;

/* AG_E_ARG says what was expected. */
ag_code ag_hub_spec_parse(const char *text, ag_hub_spec *out, ag_err *err) AG_MUST_USE;
/* Is it a name that git would accept for a branch, tag or commit? */
bool ag_hub_is_revision(ag_span s);
/* May a file from a hub lie at this path below the target folder? Relative, valid UTF-8, parts
 * separated by single slashes, none of them "." or "..", no backslash or control character, within
 * the limits above, and not one of the names that a pull keeps its own files under. */
bool ag_hub_is_path(ag_span path);
/* Is it n lower-case hexadecimal digits? */
bool ag_hub_is_hex(ag_span s, size_t n);

#endif
