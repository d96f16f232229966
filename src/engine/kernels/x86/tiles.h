/* The shapes of AMX's tiles. Needs no instructions of its own. */
#ifndef AG_KERNELS_X86_TILES_H
#define AG_KERNELS_X86_TILES_H

#include <assert.h>
#include <stdint.h>

/* What LDTILECFG reads. */
typedef struct ag_tile_shapes {
    uint8_t palette, start_row, zero[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} ag_tile_shapes;
static_assert(sizeof(ag_tile_shapes) == 64, "as the CPU reads it");

#endif
