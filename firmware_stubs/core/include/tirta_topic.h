/* SPDX-License-Identifier: Apache-2.0 */
/* Topics of the wire contract: tirta/v1/{site}/{device}/{channel}. */
#ifndef TIRTA_TOPIC_H
#define TIRTA_TOPIC_H

#include <stddef.h>

#include "tirta_limits.h"
#include "tirta_result.h"

enum tirta_channel {
    TIRTA_TELEMETRY = 0, /* device to platform */
    TIRTA_STATUS,        /* device to platform, retained; the last will */
    TIRTA_COMMAND,       /* platform to device */
    TIRTA_ACK,           /* device to platform */
    TIRTA_CONFIG,        /* platform to device, retained */
    TIRTA_REPORTED,      /* device to platform, retained */
    TIRTA_STORED,        /* platform to device */
    TIRTA_ERROR          /* platform to device */
};

struct tirta_topic {
    char site[TIRTA_NAME_MAX + 1u];
    char device[TIRTA_NAME_MAX + 1u];
    enum tirta_channel channel;
};

/*
 * Write a topic into `out`, ended by NUL; TIRTA_TOPIC_MAX + 1 bytes always suffice. The user name and client id of the
 * device are the same names: {site}/{device}.
 */
enum tirta_result tirta_topic_build(const char *site, const char *device, enum tirta_channel channel, char *out,
                                    size_t capacity);

/* Take a topic apart; `text` needs no NUL at its end. Whatever is not exactly such a topic is TIRTA_BAD_TOPIC. */
enum tirta_result tirta_topic_parse(const char *text, size_t length, struct tirta_topic *topic);

/* The last level of a channel's topics; NULL for a value that is no channel. */
const char *tirta_channel_name(enum tirta_channel channel);

#endif
