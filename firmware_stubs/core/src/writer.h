/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private: bytes into the caller's memory. Once something did not fit, `full` stays set and nothing more is written, so
 * that only the end need be checked.
 */
#ifndef TIRTA_WRITER_H
#define TIRTA_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tirta_result.h"

struct writer {
    uint8_t *out;
    size_t capacity;
    size_t length;
    bool full;
};

struct writer tirta_writer_over(void *out, size_t capacity);
void tirta_write_bytes(struct writer *w, const void *bytes, size_t length);
void tirta_write_byte(struct writer *w, uint8_t byte);

/* TIRTA_OK with the length, or TIRTA_NO_SPACE. */
enum tirta_result tirta_writer_finish(const struct writer *w, size_t *length);

#endif
