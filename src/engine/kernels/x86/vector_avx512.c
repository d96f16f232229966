/* Vector kernels with AVX-512: see vector_loops.h. Thread: any. */
#include "kernels/fill.h"
#include "kernels/x86/words_avx512.h"

#include "kernels/x86/squares.h"

#include "kernels/simd/vector_loops.h"

void ag_k_vector_fill_avx512(ag_kernels *k) { vector_serve(k); }
