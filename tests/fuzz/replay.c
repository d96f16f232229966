/* Run a fuzzer's body over the files of its corpus (and over nothing at all), as an ordinary test.
 *
 * usage: NAME_fuzz FILE-OR-FOLDER... */
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static int n_run;

/* A copy of exactly the file's size, so that AddressSanitizer sees a read past the end. */
static int run_file(const char *path) {
    FILE *file = fopen(path, "rb");
    struct stat st;
    if (!file || fstat(fileno(file), &st)) {
        perror(path);
        return 1;
    }
    size_t n = (size_t)st.st_size;
    uint8_t *bytes = malloc(n ? n : 1);
    int bad = !bytes || fread(bytes, 1, n, file) != n;
    fclose(file);
    if (bad)
        perror(path);
    else
        LLVMFuzzerTestOneInput(bytes, n);
    free(bytes);
    n_run++;
    return bad;
}

static int run_folder(const char *path) {
    DIR *dir = opendir(path);
    if (!dir)
        return 0; /* no input has been kept yet */
    int bad = 0;
    for (struct dirent *entry; !bad && (entry = readdir(dir));) {
        char file[PATH_MAX];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        bad = run_file(file);
    }
    closedir(dir);
    return bad;
}

int main(int argc, char **argv) {
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        struct stat st;
        int is_file = !stat(argv[i], &st) && S_ISREG(st.st_mode);
        if (is_file ? run_file(argv[i]) : run_folder(argv[i]))
            return 1;
    }
    printf("%d inputs\n", n_run);
    return 0;
}
