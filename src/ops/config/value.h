/* One value: from text into its field, and back. Private to the room. */
#ifndef AG_CONFIG_VALUE_H
#define AG_CONFIG_VALUE_H

#include "config/config.h"

/* Parse `text` as the row's kind into `base` + row->at; a list is split at commas. The message says
 * what was expected and found. AG_E_ARG, AG_E_NOMEM. */
ag_code ag_config_value_set(const ag_config_row *row, const char *text, void *base, ag_arena *arena,
                            ag_err *err) AG_MUST_USE;
/* A list's elements as they are, commas and all; copied. AG_E_ARG (not a list), AG_E_NOMEM. */
ag_code ag_config_value_set_list(const ag_config_row *row, const char *const *items, size_t n,
                                 void *base, ag_arena *arena, ag_err *err) AG_MUST_USE;
/* The default, or nothing where there is none. */
ag_code ag_config_value_default(const ag_config_row *row, void *base, ag_arena *arena,
                                ag_err *err) AG_MUST_USE;
/* As it would be written in YAML: 10s, 32MiB, "text", ["a", "b"], null. */
void ag_config_value_write(const ag_config_row *row, const void *base, ag_buf *out);

#endif
