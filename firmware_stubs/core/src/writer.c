/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes into the caller's memory, never beyond its end. */
#include "writer.h"

#include <string.h>

struct writer tirta_writer_over(void *out, size_t capacity) {
    const struct writer w = {.out = out, .capacity = capacity, .length = 0, .full = false};
    return w;
}

void tirta_write_bytes(struct writer *w, const void *bytes, size_t length) {
    if (w->full || length > w->capacity - w->length) {
        w->full = true;
        return;
    }
    if (length > 0u) {
        memcpy(w->out + w->length, bytes, length);
        w->length += length;
    }
}

void tirta_write_byte(struct writer *w, uint8_t byte) {
    tirta_write_bytes(w, &byte, 1u);
}

enum tirta_result tirta_writer_finish(const struct writer *w, size_t *length) {
    if (w->full) {
        return TIRTA_NO_SPACE;
    }
    *length = w->length;
    return TIRTA_OK;
}
