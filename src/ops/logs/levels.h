/* "warn,sched=debug": a level for all components, and others for some. Private to the room. */
#ifndef AG_LOGS_LEVELS_H
#define AG_LOGS_LEVELS_H

#include "logs/logs.h"

typedef struct ag_log_rule {
    char component[24];
    ag_log_level level;
} ag_log_rule;

typedef struct ag_log_levels {
    ag_log_level all;
    ag_log_rule rules[AG_LOG_RULES];
    size_t n_rules;
} ag_log_levels;

/* AG_E_ARG says which part is wrong; *out is then unspecified. */
ag_code ag_log_levels_parse(const char *text, ag_log_levels *out, ag_err *err) AG_MUST_USE;
ag_log_level ag_log_levels_of(const ag_log_levels *levels, const char *component);
const char *ag_log_level_name(ag_log_level level);

#endif
