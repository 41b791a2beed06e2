/* SPDX-License-Identifier: Apache-2.0 */
/* Records and batches of records. */
#include "tirta_telemetry.h"

#include "cbor_write.h"
#include "json_write.h"

/* Whether `name` may be a quantity's; looked at only as far as the longest name goes. */
static bool is_quantity_name(const char *name) {
    if (name == NULL || name[0] == '\0') {
        return false;
    }
    for (size_t i = 0; i <= TIRTA_NAME_MAX; i++) {
        const char c = name[i];
        if (c == '\0') {
            return true;
        }
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) {
            return false;
        }
    }
    return false;
}

static enum tirta_result check_record(const struct tirta_record *record) {
    if (record == NULL || (record->quantities == NULL && record->quantity_count > 0u)) {
        return TIRTA_BAD_ARGUMENT;
    }
    if (record->zone < 1u || record->zone > TIRTA_ZONE_MAX || (record->has_ts && record->ts > TIRTA_TIME_MAX)) {
        return TIRTA_OUT_OF_RANGE;
    }
    for (size_t i = 0; i < record->quantity_count; i++) {
        const struct tirta_quantity *const quantity = &record->quantities[i];
        if (!is_quantity_name(quantity->name)) {
            return TIRTA_BAD_ARGUMENT;
        }
        /* Said so that NaN, which is neither, fails too. */
        if (!(quantity->number >= -JSON_NUMBER_MAX && quantity->number <= JSON_NUMBER_MAX)) {
            return TIRTA_OUT_OF_RANGE;
        }
    }
    return TIRTA_OK;
}

static void json_record(struct writer *w, const struct tirta_record *record) {
    bool first = true;
    tirta_write_byte(w, '{');
    if (record->has_ts) {
        tirta_json_key(w, &first, "ts");
        tirta_json_uint(w, record->ts);
    }
    if (record->has_boot) {
        tirta_json_key(w, &first, "boot");
        tirta_json_uint(w, record->boot);
    }
    if (record->has_seq) {
        tirta_json_key(w, &first, "seq");
        tirta_json_uint(w, record->seq);
    }
    tirta_json_key(w, &first, "zone");
    tirta_json_uint(w, record->zone);
    for (size_t i = 0; i < record->quantity_count; i++) {
        const struct tirta_quantity *const quantity = &record->quantities[i];
        tirta_json_key(w, &first, quantity->name);
        if (quantity->boolean) {
            tirta_json_text(w, quantity->number != 0.0 ? "true" : "false");
        } else {
            tirta_json_number(w, quantity->number);
        }
    }
    tirta_write_byte(w, '}');
}

static void cbor_field(struct writer *w, const char *key, uint64_t value) {
    tirta_cbor_text(w, key);
    tirta_cbor_uint(w, value);
}

static void cbor_record(struct writer *w, const struct tirta_record *record) {
    const unsigned fixed = 1u + (record->has_ts ? 1u : 0u) + (record->has_boot ? 1u : 0u) + (record->has_seq ? 1u : 0u);
    tirta_cbor_map(w, fixed + record->quantity_count);
    if (record->has_ts) {
        cbor_field(w, "ts", record->ts);
    }
    if (record->has_boot) {
        cbor_field(w, "boot", record->boot);
    }
    if (record->has_seq) {
        cbor_field(w, "seq", record->seq);
    }
    cbor_field(w, "zone", record->zone);
    for (size_t i = 0; i < record->quantity_count; i++) {
        const struct tirta_quantity *const quantity = &record->quantities[i];
        tirta_cbor_text(w, quantity->name);
        if (quantity->boolean) {
            tirta_cbor_boolean(w, quantity->number != 0.0);
        } else {
            tirta_cbor_number(w, quantity->number);
        }
    }
}

static void write_record(struct writer *w, enum tirta_format format, const struct tirta_record *record) {
    if (format == TIRTA_CBOR) {
        cbor_record(w, record);
    } else {
        json_record(w, record);
    }
}

static size_t limited(size_t capacity) {
    return capacity < TIRTA_PAYLOAD_MAX ? capacity : TIRTA_PAYLOAD_MAX;
}

enum tirta_result tirta_record_encode(enum tirta_format format, const struct tirta_record *record, uint8_t *out,
                                      size_t capacity, size_t *length) {
    const enum tirta_result checked = check_record(record);
    if (checked != TIRTA_OK) {
        return checked;
    }
    if (out == NULL || length == NULL) {
        return TIRTA_BAD_ARGUMENT;
    }
    struct writer w = tirta_writer_over(out, limited(capacity));
    write_record(&w, format, record);
    return tirta_writer_finish(&w, length);
}

enum tirta_result tirta_batch_begin(struct tirta_batch *batch, enum tirta_format format, uint8_t *out,
                                    size_t capacity) {
    if (batch == NULL || out == NULL) {
        return TIRTA_BAD_ARGUMENT;
    }
    if (capacity < 2u) { /* an empty array */
        return TIRTA_NO_SPACE;
    }
    struct writer w = tirta_writer_over(out, limited(capacity));
    if (format == TIRTA_CBOR) {
        tirta_cbor_array_begin(&w);
    } else {
        tirta_write_byte(&w, '[');
    }
    batch->format = format;
    batch->out = out;
    batch->capacity = w.capacity - 1u; /* the last byte is kept for the array's end */
    batch->length = w.length;
    batch->count = 0;
    return TIRTA_OK;
}

enum tirta_result tirta_batch_add(struct tirta_batch *batch, const struct tirta_record *record) {
    const enum tirta_result checked = check_record(record);
    if (checked != TIRTA_OK) {
        return checked;
    }
    if (batch == NULL || batch->out == NULL) {
        return TIRTA_BAD_ARGUMENT;
    }
    if (batch->count == TIRTA_RECORDS_MAX) {
        return TIRTA_NO_SPACE;
    }
    struct writer w = tirta_writer_over(batch->out, batch->capacity);
    w.length = batch->length;
    if (batch->format == TIRTA_JSON && batch->count > 0u) {
        tirta_write_byte(&w, ',');
    }
    write_record(&w, batch->format, record);
    const enum tirta_result written = tirta_writer_finish(&w, &batch->length);
    if (written == TIRTA_OK) {
        batch->count++;
    }
    return written;
}

enum tirta_result tirta_batch_end(struct tirta_batch *batch, size_t *length) {
    if (batch == NULL || batch->out == NULL || length == NULL) {
        return TIRTA_BAD_ARGUMENT;
    }
    struct writer w = tirta_writer_over(batch->out, batch->capacity + 1u);
    w.length = batch->length;
    if (batch->format == TIRTA_CBOR) {
        tirta_cbor_array_end(&w);
    } else {
        tirta_write_byte(&w, ']');
    }
    batch->out = NULL; /* ended: adding to it is a mistake */
    return tirta_writer_finish(&w, length);
}
