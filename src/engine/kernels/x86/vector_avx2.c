/* Vector kernels with AVX2: see vector_loops.h. Thread: any. */
#include "kernels/fill.h"
#include "kernels/x86/words_avx2.h"

#include "kernels/x86/squares.h"

#include "kernels/simd/vector_loops.h"

void ag_k_vector_fill_avx2(ag_kernels *k) { vector_serve(k); }
