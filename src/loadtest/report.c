/* What came out, as JSON and as a drawing. */
#include <math.h>
#include <stdio.h>

#include "base/json_out.h"
#include "loadtest/body.h"

double ag_load_quantile(const ag_load_series *s, double q) {
    if (!s->n)
        return 0;
    double rank = ceil(q * (double)s->n);
    size_t i = rank < 1 ? 0 : (size_t)rank - 1;
    return s->v[i < s->n ? i : s->n - 1];
}

double ag_load_mean(const ag_load_series *s) {
    double sum = 0;
    for (size_t i = 0; i < s->n; i++)
        sum += s->v[i];
    return s->n ? sum / (double)s->n : 0;
}

/* ---- JSON
 * ----------------------------------------------------------------------------------------
 */

static void add_ms(ag_buf *out, const char *name, const ag_load_series *s, double seconds) {
    ag_json_key(out, name);
    if (s->n)
        ag_json_f64(out, round(seconds * 1e6) / 1e3);
    else
        ag_json_null(out);
}

static void add_series(ag_buf *out, const char *name, const ag_load_series *s) {
    ag_json_key(out, name);
    ag_json_open(out, '{');
    ag_json_key(out, "n"), ag_json_u64(out, s->n);
    add_ms(out, "mean", s, ag_load_mean(s));
    add_ms(out, "p50", s, ag_load_quantile(s, 0.5));
    add_ms(out, "p90", s, ag_load_quantile(s, 0.9));
    add_ms(out, "p99", s, ag_load_quantile(s, 0.99));
    add_ms(out, "max", s, ag_load_quantile(s, 1));
    ag_json_close(out, '}');
}

static void add_rate(ag_buf *out, const char *name, uint64_t n, double seconds) {
    ag_json_key(out, name);
    ag_json_f64(out, seconds > 0 ? round((double)n / seconds * 1e3) / 1e3 : 0);
}

static void add_count(ag_buf *out, const char *name, uint64_t n) {
    ag_json_key(out, name);
    ag_json_u64(out, n);
}

void ag_load_json(const ag_load_opts *o, const ag_load_result *r, ag_buf *out) {
    ag_json_open(out, '{');
    ag_json_key(out, "url"), ag_json_str(out, o->base_url);
    ag_json_key(out, "model"), ag_json_str(out, o->model);
    ag_json_key(out, "endpoint"), ag_json_str(out, ag_load_path(o->api));
    add_count(out, "clients", o->clients ? o->clients : 8);
    ag_json_key(out, "rate"), ag_json_f64(out, o->rate);
    ag_json_key(out, "wall_s"), ag_json_f64(out, round(r->wall_s * 1e6) / 1e6);
    add_count(out, "sent", r->sent);
    add_count(out, "succeeded", r->succeeded);
    add_count(out, "failed", r->failed);
    add_count(out, "refused", r->refused);
    ag_json_key(out, "first_error");
    ag_json_str(out, r->first_error[0] ? r->first_error : NULL);
    add_count(out, "prompt_tokens", r->prompt_tokens);
    add_count(out, "cached_tokens", r->cached_tokens);
    add_count(out, "generated_tokens", r->generated_tokens);
    add_rate(out, "requests_s", r->succeeded, r->wall_s);
    add_rate(out, "tok_s", r->generated_tokens, r->wall_s);
    add_rate(out, "goodput_s", r->met, r->wall_s);
    add_series(out, "ttft_ms", &r->ttft);
    add_series(out, "itl_ms", &r->itl);
    add_series(out, "tpot_ms", &r->tpot);
    add_series(out, "e2e_ms", &r->e2e);
    ag_json_close(out, '}');
}

/* ---- SVG
 * -----------------------------------------------------------------------------------------
 */

#define WIDTH  720.0
#define HEIGHT 180.0
#define LEFT   60.0
#define POINTS 200

/* A panel's frame with its title and the words under its axis. */
static void open_panel(ag_buf *out, double top, const char *title, const char *from,
                       const char *to) {
    ag_buf_addf(out,
                "<text x=\"%.0f\" y=\"%.0f\" class=\"t\">%s</text>"
                "<rect x=\"%.0f\" y=\"%.0f\" width=\"%.0f\" height=\"%.0f\" class=\"f\"/>"
                "<text x=\"%.0f\" y=\"%.0f\">%s</text>"
                "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"end\">%s</text>\n",
                LEFT, top - 8, title, LEFT, top, WIDTH, HEIGHT, LEFT, top + HEIGHT + 16, from,
                LEFT + WIDTH, top + HEIGHT + 16, to);
}

/* The share of values below x, over a logarithmic axis from `least` to `most` seconds. */
static void add_shares(ag_buf *out, double top, const ag_load_series *s, double least, double most,
                       const char *colour) {
    ag_buf_addf(out, "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"%s\" points=\"", colour);
    for (int i = 0; i <= POINTS; i++) {
        double q = (double)i / POINTS, v = ag_load_quantile(s, q);
        double x = log(fmax(v, least) / least) / log(most / least);
        ag_buf_addf(out, "%.1f,%.1f ", LEFT + x * WIDTH, top + (1 - q) * HEIGHT);
    }
    ag_buf_adds(out, "\"/>\n");
}

static void add_latencies(ag_buf *out, double top, const ag_load_result *r) {
    const ag_load_series *blue = r->ttft.n ? &r->ttft : &r->e2e;
    double least = 0.0001, most = fmax(ag_load_quantile(blue, 1), ag_load_quantile(&r->itl, 1));
    char to[32];
    most = fmax(most, 0.01);
    snprintf(to, sizeof to, "%.3g ms", most * 1e3);
    open_panel(out, top,
               r->ttft.n ? "share below a time: first token (blue), between tokens (orange)"
                         : "share below a time: whole request",
               "0.1 ms", to);
    if (blue->n)
        add_shares(out, top, blue, least, most, "#1f6fb4");
    if (r->itl.n)
        add_shares(out, top, &r->itl, least, most, "#e07b00");
}

/* Answers that ended in each of 60 equal parts of the run, as bars. */
static void add_rates(ag_buf *out, double top, const ag_load_result *r) {
    enum { BARS = 60 };
    unsigned count[BARS] = {0}, most = 1;
    double from = r->ended_at.n ? r->ended_at.v[r->ended_at.n - 1] - r->wall_s : 0;
    double part = r->wall_s / BARS;
    for (size_t i = 0; i < r->ended_at.n && part > 0; i++) {
        double at = (r->ended_at.v[i] - from) / part;
        int bar = at < 0 ? 0 : at >= BARS ? BARS - 1 : (int)at;
        if (++count[bar] > most)
            most = count[bar];
    }
    char to[32], title[96];
    snprintf(to, sizeof to, "%.3g s", r->wall_s);
    snprintf(title, sizeof title, "answers a second, at most %.3g",
             part > 0 ? (double)most / part : 0);
    open_panel(out, top, title, "0 s", to);
    for (int i = 0; i < BARS; i++) {
        double h = HEIGHT * count[i] / most;
        ag_buf_addf(out,
                    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"#5a8f29\"/>",
                    LEFT + i * WIDTH / BARS, top + HEIGHT - h, WIDTH / BARS - 1, h);
    }
    ag_buf_adds(out, "\n");
}

static void add_escaped(ag_buf *out, const char *text) {
    for (; *text; text++)
        if (strchr("<>&\"", *text))
            ag_buf_addf(out, "&#%d;", *text);
        else
            ag_buf_addc(out, *text);
}

void ag_load_svg(const ag_load_opts *o, const ag_load_result *r, ag_buf *out) {
    ag_buf_addf(out,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
                "font-family=\"sans-serif\" font-size=\"12\">\n"
                "<style>.t{font-size:14px}.f{fill:none;stroke:#999}</style>\n"
                "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
                "<text x=\"%.0f\" y=\"24\" font-size=\"16\">",
                LEFT + WIDTH + 20, 2 * HEIGHT + 170, LEFT);
    add_escaped(out, o->model);
    ag_buf_addf(out, ": %.4g requests/s, %.4g tokens/s, %llu of %llu answered</text>\n",
                r->wall_s > 0 ? (double)r->succeeded / r->wall_s : 0,
                r->wall_s > 0 ? (double)r->generated_tokens / r->wall_s : 0,
                (unsigned long long)r->succeeded, (unsigned long long)r->sent);
    add_latencies(out, 70, r);
    add_rates(out, 70 + HEIGHT + 60, r);
    ag_buf_adds(out, "</svg>\n");
}
