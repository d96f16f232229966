/* The process's own figures, as Prometheus's client libraries name them. */
#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "metrics/series.h"

static void set(ag_metrics *m, ag_family f, double value) {
    ag_metric_set(ag_metrics_get(m, f, NULL, NULL, NULL), value);
}

/* Fields of /proc/self/stat after the command's name, which may hold blanks and brackets (proc(5)):
 * the first is field 3. */
static bool read_stat(double fields[], int n) {
    ag_buf text;
    ag_buf_init(&text, AG_ROOM_OPS, 4096);
    bool ok = !ag_file_read("/proc/self/stat", &text, NULL) && ag_buf_cstr(&text);
    const char *at = ok ? strrchr(text.p, ')') : NULL;
    ok = at != NULL;
    for (int i = 0; i < n && ok; i++) {
        at = strchr(at + 1, ' ');
        ok = at && (i == 0 || sscanf(at, " %lf", &fields[i]) == 1); /* field 3 is a letter */
    }
    ag_buf_deinit(&text);
    return ok;
}

static int count_fds(void) {
    DIR *dir = opendir("/proc/self/fd");
    int n = -3; /* ".", ".." and the directory's own */
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n > 0 ? n : 0;
}

/* Start time in seconds since 1970: start after boot, counted back from now. */
static double start_time(double start_ticks) {
    struct timespec now, up;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &up);
    double boot =
        (double)now.tv_sec - (double)up.tv_sec + 1e-9 * (double)(now.tv_nsec - up.tv_nsec);
    return boot + start_ticks / (double)sysconf(_SC_CLK_TCK);
}

void ag_metrics_scrape_process(void *metrics) {
    ag_metrics *m = metrics;
    double stat[22]; /* by field number - 3 */
    if (read_stat(stat, 22)) {
        set(m, AG_M_CPU, (stat[14 - 3] + stat[15 - 3]) / (double)sysconf(_SC_CLK_TCK));
        set(m, AG_M_THREADS, stat[20 - 3]);
        set(m, AG_M_START, start_time(stat[22 - 3]));
        set(m, AG_M_VIRTUAL, stat[23 - 3]);
        set(m, AG_M_RSS, stat[24 - 3] * (double)sysconf(_SC_PAGESIZE));
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        set(m, AG_M_MAX_FDS, (double)files.rlim_cur);
    set(m, AG_M_FDS, count_fds());
}
