/* SPDX-License-Identifier: Apache-2.0 */
/* Topics, built and taken apart. */
#include "tirta_topic.h"

#include <stdbool.h>
#include <string.h>

static const char PREFIX[] = "tirta/v1/";
static const char *const CHANNELS[] = {"telemetry", "status",   "command", "ack",
                                       "config",    "reported", "stored",  "error"};

#define CHANNEL_COUNT (sizeof CHANNELS / sizeof CHANNELS[0])

static bool is_name(const char *text, size_t length) {
    if (length == 0u || length > TIRTA_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        const char c = text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')) {
            return false;
        }
    }
    return true;
}

/* Length of a NUL-ended text, looked at only as far as is needed to know that it is too long for a name. */
static size_t name_length(const char *text) {
    size_t length = 0;
    while (length <= TIRTA_NAME_MAX && text[length] != '\0') {
        length++;
    }
    return length;
}

const char *tirta_channel_name(enum tirta_channel channel) {
    const size_t index = (size_t)channel;
    return index < CHANNEL_COUNT ? CHANNELS[index] : NULL;
}

enum tirta_result tirta_topic_build(const char *site, const char *device, enum tirta_channel channel, char *out,
                                    size_t capacity) {
    const char *const last = tirta_channel_name(channel);
    if (site == NULL || device == NULL || out == NULL) {
        return TIRTA_BAD_ARGUMENT;
    }
    const size_t site_length = name_length(site);
    const size_t device_length = name_length(device);
    if (last == NULL || !is_name(site, site_length) || !is_name(device, device_length)) {
        return TIRTA_BAD_TOPIC;
    }
    const size_t prefix_length = sizeof PREFIX - 1u;
    const size_t last_length = strlen(last);
    if (prefix_length + site_length + 1u + device_length + 1u + last_length + 1u > capacity) {
        return TIRTA_NO_SPACE;
    }
    memcpy(out, PREFIX, prefix_length);
    out += prefix_length;
    memcpy(out, site, site_length);
    out += site_length;
    *out++ = '/';
    memcpy(out, device, device_length);
    out += device_length;
    *out++ = '/';
    memcpy(out, last, last_length + 1u);
    return TIRTA_OK;
}

/* Copy the level that begins at `*at` if it is a name with a slash behind it, and step over both. */
static bool take_name(const char **at, const char *end, char *name) {
    const char *const slash = memchr(*at, '/', (size_t)(end - *at));
    if (slash == NULL || !is_name(*at, (size_t)(slash - *at))) {
        return false;
    }
    const size_t length = (size_t)(slash - *at);
    memcpy(name, *at, length);
    name[length] = '\0';
    *at = slash + 1;
    return true;
}

enum tirta_result tirta_topic_parse(const char *text, size_t length, struct tirta_topic *topic) {
    if (text == NULL || topic == NULL) {
        return TIRTA_BAD_ARGUMENT;
    }
    const size_t prefix_length = sizeof PREFIX - 1u;
    if (length < prefix_length || length > TIRTA_TOPIC_MAX || memcmp(text, PREFIX, prefix_length) != 0) {
        return TIRTA_BAD_TOPIC;
    }
    const char *at = text + prefix_length;
    const char *const end = text + length;
    if (!take_name(&at, end, topic->site) || !take_name(&at, end, topic->device)) {
        return TIRTA_BAD_TOPIC;
    }
    const size_t last_length = (size_t)(end - at);
    for (size_t i = 0; i < CHANNEL_COUNT; i++) {
        if (strlen(CHANNELS[i]) == last_length && memcmp(CHANNELS[i], at, last_length) == 0) {
            topic->channel = (enum tirta_channel)i;
            return TIRTA_OK;
        }
    }
    return TIRTA_BAD_TOPIC;
}
