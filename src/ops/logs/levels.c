#include "logs/levels.h"

static const char *const names[] = {"error", "warn", "info", "debug"};

const char *ag_log_level_name(ag_log_level level) { return names[level]; }

static ag_code parse_level(ag_span word, ag_log_level *level, ag_err *err) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (ag_span_is(word, names[i])) {
            *level = (ag_log_level)i;
            return AG_OK;
        }
    return ag_fail(err, AG_E_ARG, "\"%.*s\" is no log level: error, warn, info or debug",
                   AG_SPAN(word));
}

/* One part between commas: "warn" or "sched=debug". */
static ag_code parse_part(ag_span part, ag_log_levels *out, ag_err *err) {
    size_t equals = ag_span_find(part, ag_str("="), 0);
    if (equals == SIZE_MAX)
        return parse_level(part, &out->all, err);
    ag_span name = ag_span_sub(part, 0, equals);
    if (out->n_rules == AG_LOG_RULES)
        return ag_fail(err, AG_E_ARG, "log levels: more than %d components", AG_LOG_RULES);
    ag_log_rule *rule = &out->rules[out->n_rules++];
    if (name.n == 0 || name.n >= sizeof rule->component)
        return ag_fail(err, AG_E_ARG, "log levels: \"%.*s\" is no component", AG_SPAN(name));
    memcpy(rule->component, name.p, name.n);
    rule->component[name.n] = '\0';
    return parse_level(ag_span_sub(part, equals + 1, part.n), &rule->level, err);
}

ag_code ag_log_levels_parse(const char *text, ag_log_levels *out, ag_err *err) {
    *out = (ag_log_levels){.all = AG_LOG_INFO};
    ag_span s = ag_str(text ? text : "info");
    for (size_t from = 0; from <= s.n;) {
        size_t to = ag_span_find(s, ag_str(","), from);
        if (to == SIZE_MAX)
            to = s.n;
        ag_code code = parse_part(ag_span_sub(s, from, to), out, err);
        if (code)
            return code;
        from = to + 1;
    }
    return AG_OK;
}

ag_code ag_logs_check_levels(const char *levels, ag_err *err) {
    ag_log_levels parsed;
    return ag_log_levels_parse(levels, &parsed, err);
}

ag_log_level ag_log_levels_of(const ag_log_levels *levels, const char *component) {
    for (size_t i = 0; i < levels->n_rules; i++)
        if (!strcmp(levels->rules[i].component, component))
            return levels->rules[i].level;
    return levels->all;
}
