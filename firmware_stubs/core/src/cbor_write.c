/* SPDX-License-Identifier: Apache-2.0 */
/* CBOR, RFC 8949: heads in their shortest form, floats in the shortest that loses nothing. */
#include "cbor_write.h"

#include <float.h>
#include <string.h>

#define MAJOR_UINT 0x00u
#define MAJOR_TEXT 0x60u
#define MAJOR_MAP 0xa0u
#define ARRAY_INDEFINITE 0x9fu
#define FALSE_BYTE 0xf4u
#define TRUE_BYTE 0xf5u
#define HALF 0xf9u
#define SINGLE 0xfau
#define DOUBLE 0xfbu
#define BREAK 0xffu

static void write_big_endian(struct writer *w, uint64_t value, unsigned bytes) {
    while (bytes > 0u) {
        bytes--;
        tirta_write_byte(w, (uint8_t)(value >> (8u * bytes)));
    }
}

static void write_head(struct writer *w, uint8_t major, uint64_t value) {
    if (value < 24u) {
        tirta_write_byte(w, (uint8_t)(major | value));
    } else if (value <= UINT8_MAX) {
        tirta_write_byte(w, major | 24u);
        write_big_endian(w, value, 1u);
    } else if (value <= UINT16_MAX) {
        tirta_write_byte(w, major | 25u);
        write_big_endian(w, value, 2u);
    } else if (value <= UINT32_MAX) {
        tirta_write_byte(w, major | 26u);
        write_big_endian(w, value, 4u);
    } else {
        tirta_write_byte(w, major | 27u);
        write_big_endian(w, value, 8u);
    }
}

void tirta_cbor_uint(struct writer *w, uint64_t value) {
    write_head(w, MAJOR_UINT, value);
}

void tirta_cbor_text(struct writer *w, const char *text) {
    const size_t length = strlen(text);
    write_head(w, MAJOR_TEXT, length);
    tirta_write_bytes(w, text, length);
}

void tirta_cbor_map(struct writer *w, uint64_t pairs) {
    write_head(w, MAJOR_MAP, pairs);
}

void tirta_cbor_boolean(struct writer *w, bool value) {
    tirta_write_byte(w, value ? TRUE_BYTE : FALSE_BYTE);
}

void tirta_cbor_array_begin(struct writer *w) {
    tirta_write_byte(w, ARRAY_INDEFINITE);
}

void tirta_cbor_array_end(struct writer *w) {
    tirta_write_byte(w, BREAK);
}

/*
 * Turn the bits of a single into those of a half of the same value, if there is one. Halves too small to be normal are
 * left as singles: no sensor's value is that small, and the code for them would be longer than what they save.
 */
static bool half_from_single(uint32_t single, uint16_t *half) {
    const uint32_t sign = (single >> 16) & 0x8000u;
    const uint32_t exponent = (single >> 23) & 0xffu;
    const uint32_t fraction = single & 0x7fffffu;
    if ((single & 0x7fffffffu) == 0u) {
        *half = (uint16_t)sign;
        return true;
    }
    if (exponent < 113u || exponent > 142u || (fraction & 0x1fffu) != 0u) { /* 2^-14 to 2^15, ten bits of fraction */
        return false;
    }
    *half = (uint16_t)(sign | ((exponent - 112u) << 10) | (fraction >> 13));
    return true;
}

void tirta_cbor_number(struct writer *w, double value) {
    /* The range is asked first: converting what a float cannot hold is undefined (C11, 6.3.1.5). */
    if (value >= -(double)FLT_MAX && value <= (double)FLT_MAX && (double)(float)value == value) {
        const float narrow = (float)value;
        uint32_t single = 0;
        uint16_t half = 0;
        memcpy(&single, &narrow, sizeof single);
        if (half_from_single(single, &half)) {
            tirta_write_byte(w, HALF);
            write_big_endian(w, half, 2u);
        } else {
            tirta_write_byte(w, SINGLE);
            write_big_endian(w, single, 4u);
        }
        return;
    }
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    tirta_write_byte(w, DOUBLE);
    write_big_endian(w, bits, 8u);
}
