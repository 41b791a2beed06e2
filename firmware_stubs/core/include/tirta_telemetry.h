/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telemetry: records to JSON or CBOR. The memory is the caller's and so is the record, until the function returns.
 *
 * Numbers are written in decimal with six digits after the point (three from 9e9 up), which is more than sensors
 * resolve; in CBOR they are the shortest float that holds the value exactly.
 */
#ifndef TIRTA_TELEMETRY_H
#define TIRTA_TELEMETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tirta_limits.h"
#include "tirta_result.h"

enum tirta_format { TIRTA_JSON = 0, TIRTA_CBOR };

struct tirta_quantity {
    const char *name; /* as in the catalogue: a-z 0-9 _ */
    double number;    /* in the catalogue's unit; for a boolean, 0 is false */
    bool boolean;
};

struct tirta_record {
    bool has_ts;   /* left out, the platform takes its own time of receipt */
    bool has_boot; /* left out, duplicates are told by zone and ts */
    bool has_seq;  /* left out, gaps cannot be seen */
    uint64_t ts;   /* [ms since the Unix epoch, UTC] */
    uint32_t boot;
    uint32_t seq;
    uint8_t zone; /* 1 to TIRTA_ZONE_MAX */
    const struct tirta_quantity *quantities;
    size_t quantity_count;
};

/*
 * Write one record as a payload of its own. TIRTA_OUT_OF_RANGE for NaN, an infinity or a number beyond 9e12: leave that
 * quantity out, as not measured.
 */
enum tirta_result tirta_record_encode(enum tirta_format format, const struct tirta_record *record, uint8_t *out,
                                      size_t capacity, size_t *length);

/* A payload of many records, such as a backlog. The fields are the functions' own; `out` must stay until the end. */
struct tirta_batch {
    enum tirta_format format;
    uint8_t *out;
    size_t capacity;
    size_t length;
    size_t count;
};

enum tirta_result tirta_batch_begin(struct tirta_batch *batch, enum tirta_format format, uint8_t *out, size_t capacity);

/*
 * Add one record. On any other result than TIRTA_OK the batch is as it was before: after TIRTA_NO_SPACE (memory, 64 KiB
 * or TIRTA_RECORDS_MAX reached) end it, send it, and begin the next one with this record.
 */
enum tirta_result tirta_batch_add(struct tirta_batch *batch, const struct tirta_record *record);

/* Close the array; `length` is the payload's. There is always room for it. */
enum tirta_result tirta_batch_end(struct tirta_batch *batch, size_t *length);

#endif
