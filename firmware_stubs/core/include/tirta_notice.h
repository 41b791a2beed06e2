/* SPDX-License-Identifier: Apache-2.0 */
/* What the platform tells a device besides commands: how far telemetry is stored, what was wrong, what to be. */
#ifndef TIRTA_NOTICE_H
#define TIRTA_NOTICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tirta_device_status.h"
#include "tirta_limits.h"
#include "tirta_result.h"

struct tirta_error {
    char code[TIRTA_ERROR_CODE_MAX + 1u];
    char detail[TIRTA_ERROR_DETAIL_MAX + 1u]; /* UTF-8, cut between characters; empty when there is none */
    bool has_seq;
    uint32_t seq;
};

struct tirta_config {
    uint32_t version;
    bool has_telemetry_s;
    uint32_t telemetry_s;     /* time between records [s] */
    bool telemetry_s_refused; /* a value was given that cannot be taken: report it as refused, keep the one in force */
};

/* Everything of that boot up to and including that number may be forgotten. */
enum tirta_result tirta_stored_parse(const char *text, size_t length, struct tirta_position *stored);

enum tirta_result tirta_error_parse(const char *text, size_t length, struct tirta_error *error);

/* The basics of a configuration; keys besides these are passed over here. */
enum tirta_result tirta_config_parse(const char *text, size_t length, struct tirta_config *config);

#endif
