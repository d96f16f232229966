/* Escapes in string literals. */
#ifndef AG_TEXT_TEMPLATE_UNESCAPE_H
#define AG_TEXT_TEMPLATE_UNESCAPE_H

#include "base/arena.h"

/* *out = the string that the literal's inside `s` (valid UTF-8) stands for: s itself, or arena
 * memory. AG_E_TEMPLATE (names the line), AG_E_NOMEM. */
ag_code ag_tpl_unescape(ag_arena *arena, ag_span s, uint32_t line, ag_span *out,
                        ag_err *err) AG_MUST_USE;

#endif
