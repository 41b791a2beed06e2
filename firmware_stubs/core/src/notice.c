/* SPDX-License-Identifier: Apache-2.0 */
/* stored, error and config, parsed. */
#include "tirta_notice.h"

#include <string.h>

#include "json_read.h"

static bool find_uint32(struct json root, const char *key, uint32_t *number) {
    struct json value;
    uint64_t wide = 0;
    if (!tirta_json_find(root, key, &value) || !tirta_json_whole(value, 0u, UINT32_MAX, &wide)) {
        return false;
    }
    *number = (uint32_t)wide;
    return true;
}

enum tirta_result tirta_stored_parse(const char *text, size_t length, struct tirta_position *stored) {
    struct json root;
    if (stored == NULL) {
        return TIRTA_BAD_ARGUMENT;
    }
    const enum tirta_result checked = tirta_json_check_object(text, length, &root);
    if (checked != TIRTA_OK) {
        return checked;
    }
    const bool sound = find_uint32(root, "boot", &stored->boot) && find_uint32(root, "seq", &stored->seq);
    return sound ? TIRTA_OK : TIRTA_MALFORMED;
}

enum tirta_result tirta_error_parse(const char *text, size_t length, struct tirta_error *error) {
    struct json root;
    struct json value;
    bool cut = false;
    if (error == NULL) {
        return TIRTA_BAD_ARGUMENT;
    }
    memset(error, 0, sizeof *error);
    const enum tirta_result checked = tirta_json_check_object(text, length, &root);
    if (checked != TIRTA_OK) {
        return checked;
    }
    if (!tirta_json_find(root, "code", &value) ||
        !tirta_json_string_copy(value, error->code, sizeof error->code, &cut) || cut || error->code[0] == '\0') {
        return TIRTA_MALFORMED;
    }
    if (tirta_json_find(root, "detail", &value) &&
        !tirta_json_string_copy(value, error->detail, sizeof error->detail, &cut)) {
        return TIRTA_MALFORMED;
    }
    error->has_seq = tirta_json_find(root, "seq", &value);
    if (error->has_seq && !find_uint32(root, "seq", &error->seq)) {
        return TIRTA_MALFORMED;
    }
    return TIRTA_OK;
}

enum tirta_result tirta_config_parse(const char *text, size_t length, struct tirta_config *config) {
    struct json root;
    struct json value;
    uint64_t number = 0;
    if (config == NULL) {
        return TIRTA_BAD_ARGUMENT;
    }
    memset(config, 0, sizeof *config);
    const enum tirta_result checked = tirta_json_check_object(text, length, &root);
    if (checked != TIRTA_OK) {
        return checked;
    }
    if (!find_uint32(root, "version", &config->version)) {
        return TIRTA_MALFORMED;
    }
    if (tirta_json_find(root, "telemetry_s", &value)) {
        config->has_telemetry_s = tirta_json_whole(value, 1u, TIRTA_DAY_SECONDS, &number);
        config->telemetry_s_refused = !config->has_telemetry_s;
        config->telemetry_s = config->has_telemetry_s ? (uint32_t)number : 0u;
    }
    return TIRTA_OK;
}
