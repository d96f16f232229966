/* autoglm version: what this is, how it was built, and what it found in this machine. */
#include "autoglm/version.h"

#include "cli/input.h"
#include "cli/out.h"
#include "kernels/cpu.h"
#include "kernels/kernels.h"

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "unknown compiler"
#endif

int ag_cli_version(const ag_cli_args *a) {
    const char *cap = NULL;
    int status = ag_cli_tier(a, &cap);
    if (status)
        return status;
    ag_cpu_text cpu;
    ag_cpu_describe(&cpu);
    const ag_kernels *kernels = ag_kernels_get(cap);
    const char *isa = kernels ? kernels->isa : "none";
    if (a->json) {
        char version[32];
        snprintf(version, sizeof version, "%d.%d.%d", AG_VERSION_MAJOR, AG_VERSION_MINOR,
                 AG_VERSION_PATCH);
        ag_cli_out_json(json_pack("{s:s, s:s, s:s, s:s, s:s}", "version", version, "compiler",
                                  COMPILER, "cpu", cpu.brand, "features", cpu.features, "isa",
                                  isa));
        return AG_CLI_DONE;
    }
    ag_cli_out("autoglm %d.%d.%d\n", AG_VERSION_MAJOR, AG_VERSION_MINOR, AG_VERSION_PATCH);
    ag_cli_out("compiler  %s\n", COMPILER);
    ag_cli_out("cpu       ");
    ag_cli_out_name(ag_str(cpu.brand));
    ag_cli_out("\nfeatures  %s\nkernels   %s%s\n", cpu.features, isa,
               cap ? " (capped by --isa or AUTOGLM_ISA)" : "");
    return AG_CLI_DONE;
}
