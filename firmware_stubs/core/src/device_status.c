/* SPDX-License-Identifier: Apache-2.0 */
/* Status, written. */
#include "tirta_device_status.h"

#include "act_id.h"
#include "json_write.h"

static enum tirta_result check_status(const struct tirta_device_status *status) {
    if (status == NULL || (status->ledger == NULL && status->ledger_count > 0u)) {
        return TIRTA_BAD_ARGUMENT;
    }
    if (status->zones > TIRTA_ZONE_MAX || status->ledger_count > TIRTA_LEDGER_MAX ||
        (status->has_ts && status->ts > TIRTA_TIME_MAX)) {
        return TIRTA_OUT_OF_RANGE;
    }
    for (size_t i = 0; i < status->ledger_count; i++) {
        if (!tirta_act_id_is_sound(status->ledger[i].id) || tirta_ack_state_name(status->ledger[i].state) == NULL) {
            return TIRTA_BAD_ARGUMENT;
        }
    }
    return TIRTA_OK;
}

static void write_ledger(struct writer *w, const struct tirta_device_status *status) {
    tirta_write_byte(w, '[');
    for (size_t i = 0; i < status->ledger_count; i++) {
        bool first = true;
        tirta_json_text(w, i == 0u ? "{" : ",{");
        tirta_json_key(w, &first, "id");
        tirta_json_string(w, status->ledger[i].id);
        tirta_json_key(w, &first, "state");
        tirta_json_string(w, tirta_ack_state_name(status->ledger[i].state));
        tirta_write_byte(w, '}');
    }
    tirta_write_byte(w, ']');
}

static void write_position(struct writer *w, bool *first, const char *key, struct tirta_position position) {
    tirta_json_key(w, first, key);
    tirta_json_text(w, "{\"boot\":");
    tirta_json_uint(w, position.boot);
    tirta_json_text(w, ",\"seq\":");
    tirta_json_uint(w, position.seq);
    tirta_write_byte(w, '}');
}

static void write_about(struct writer *w, bool *first, const struct tirta_device_status *status) {
    if (status->kind != NULL) {
        tirta_json_key(w, first, "kind");
        tirta_json_string(w, status->kind);
    }
    if (status->fw != NULL) {
        tirta_json_key(w, first, "fw");
        tirta_json_string(w, status->fw);
    }
    if (status->has_boot) {
        tirta_json_key(w, first, "boot");
        tirta_json_uint(w, status->boot);
    }
    if (status->zones != 0u) {
        tirta_json_key(w, first, "zones");
        tirta_json_uint(w, status->zones);
    }
}

static void write_status(struct writer *w, const struct tirta_device_status *status) {
    bool first = true;
    tirta_write_byte(w, '{');
    tirta_json_key(w, &first, "online");
    tirta_json_text(w, status->online ? "true" : "false");
    write_about(w, &first, status);
    if (status->has_n) {
        tirta_json_key(w, &first, "n");
        tirta_json_uint(w, status->n);
    }
    if (status->ledger_count > 0u) {
        tirta_json_key(w, &first, "ledger");
        write_ledger(w, status);
    }
    if (status->has_oldest) {
        write_position(w, &first, "oldest", status->oldest);
    }
    if (status->has_last) {
        write_position(w, &first, "last", status->last);
    }
    if (status->has_rssi) {
        tirta_json_key(w, &first, "rssi");
        tirta_json_number(w, (double)status->rssi);
    }
    if (status->has_ts) {
        tirta_json_key(w, &first, "ts");
        tirta_json_uint(w, status->ts);
    }
    tirta_write_byte(w, '}');
}

enum tirta_result tirta_device_status_encode(const struct tirta_device_status *status, char *out, size_t capacity,
                                             size_t *length) {
    const enum tirta_result checked = check_status(status);
    if (checked != TIRTA_OK) {
        return checked;
    }
    if (out == NULL || length == NULL) {
        return TIRTA_BAD_ARGUMENT;
    }
    struct writer w = tirta_writer_over(out, capacity);
    write_status(&w, status);
    return tirta_writer_finish(&w, length);
}
