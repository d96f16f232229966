#include "logs/line.h"

#include "base/json_out.h"
#include "logs/levels.h"

/* A string fact longer than this is cut: what identifies something is short. */
#define MAX_FACT_BYTES 2048u

static void add_time(ag_buf *out, const struct timespec *at, bool with_date) {
    struct tm t;
    gmtime_r(&at->tv_sec, &t);
    if (with_date)
        ag_buf_addf(out, "%04d-%02d-%02dT", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday);
    ag_buf_addf(out, "%02d:%02d:%02d.%03ldZ", t.tm_hour, t.tm_min, t.tm_sec, at->tv_nsec / 1000000);
}

static void add_value(ag_buf *out, const ag_fact *f) {
    switch (f->kind) {
    case AG_FACT_STR:
        ag_json_text(out, ag_span_sub(ag_str(f->v.str), 0, MAX_FACT_BYTES));
        break;
    case AG_FACT_U64:
        ag_json_u64(out, f->v.u64);
        break;
    case AG_FACT_I64:
        ag_json_i64(out, f->v.i64);
        break;
    case AG_FACT_F64:
        ag_json_f64(out, f->v.f64);
        break;
    case AG_FACT_BOOL:
        ag_json_bool(out, f->v.flag);
        break;
    }
}

static bool is_absent(const ag_fact *f) { return f->kind == AG_FACT_STR && !f->v.str; }

/* Members that have no room left are left out whole, so that the line stays one JSON object. */
static void add_facts(ag_buf *out, const ag_log_record *r) {
    for (size_t i = 0; i < r->n; i++) {
        size_t before = out->n;
        if (is_absent(&r->facts[i]))
            continue;
        ag_json_key(out, r->facts[i].key);
        add_value(out, &r->facts[i]);
        if (out->failed || out->n > AG_LOG_LINE_BYTES - 64) {
            out->n = before;
            out->failed = out->over = false;
        }
    }
}

/* ECS wants these first: @timestamp, log.level, message, ecs.version. */
static void json_line(ag_buf *out, const ag_log_record *r) {
    ag_json_open(out, '{');
    ag_buf_adds(out, "\"@timestamp\":\"");
    add_time(out, &r->at, true);
    ag_buf_adds(out, "\",\"log.level\":\"");
    ag_buf_adds(out, ag_log_level_name(r->level));
    ag_buf_addc(out, '"');
    ag_json_key(out, "message");
    ag_json_text(out, ag_span_sub(ag_str(r->message), 0, MAX_FACT_BYTES));
    ag_buf_adds(out, ",\"ecs.version\":\"8.11.0\"");
    ag_json_key(out, "service.name");
    ag_json_str(out, r->service);
    ag_json_key(out, "event.dataset");
    ag_json_str(out, r->component);
    if (r->n_dropped) {
        ag_json_key(out, "autoglm.log.dropped");
        ag_json_u64(out, r->n_dropped);
    }
    add_facts(out, r);
    ag_json_close(out, '}');
}

/* 12:30:01.250Z info  runtime: model ready {"model":"smollm2","ms":812} */
static void text_line(ag_buf *out, const ag_log_record *r) {
    add_time(out, &r->at, false);
    ag_buf_addf(out, " %-5s %s: ", ag_log_level_name(r->level), r->component);
    ag_json_escape(out, ag_span_sub(ag_str(r->message), 0, MAX_FACT_BYTES));
    if (r->n_dropped)
        ag_buf_addf(out, " (%llu records were dropped before)", (unsigned long long)r->n_dropped);
    size_t before = out->n;
    ag_buf_addc(out, ' ');
    ag_json_open(out, '{');
    size_t empty = out->n;
    add_facts(out, r);
    ag_json_close(out, '}');
    if (out->n == empty + 1)
        out->n = before;
}

void ag_log_line(ag_buf *out, const ag_log_record *r, ag_log_format format) {
    if (format == AG_LOG_JSON)
        json_line(out, r);
    else
        text_line(out, r);
    if (out->n >= AG_LOG_LINE_BYTES)
        out->n = AG_LOG_LINE_BYTES - 1;
    ag_buf_addc(out, '\n');
}
