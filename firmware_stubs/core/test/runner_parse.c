/* SPDX-License-Identifier: Apache-2.0 */
/* Questions that parse: the answer is the result's code and, where there is one, the value as JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner.h"
#include "tirta_core.h"

static void print_amount(const struct tirta_amount *amount) {
    const char *comma = "";
    putchar('{');
    if (amount->has_seconds) {
        printf("\"seconds\":%.17g", amount->seconds);
        comma = ",";
    }
    if (amount->has_litres) {
        printf("%s\"litres\":%.17g", comma, amount->litres);
        comma = ",";
    }
    if (amount->has_grams) {
        printf("%s\"grams\":%.17g", comma, amount->grams);
    }
    putchar('}');
}

static void print_number_or_null(const char *key, bool has, uint64_t number) {
    printf(",\"%s\":", key);
    if (has) {
        printf("%" PRIu64, number);
    } else {
        printf("null");
    }
}

static void answer_command(const char *text, size_t length) {
    struct tirta_command command;
    const enum tirta_result result = tirta_command_parse(text, length, &command);
    printf("%s", tirta_code(result));
    if (result == TIRTA_OK || result == TIRTA_UNKNOWN_ACTION || result == TIRTA_OUT_OF_RANGE) {
        printf(" {\"id\":\"%s\"", command.id);
        print_number_or_null("n", command.has_n, command.n);
    }
    if (result == TIRTA_OK) {
        printf(",\"action\":\"%s\"", tirta_action_name(command.action));
        print_number_or_null("zone", command.zone != 0u, command.zone);
        printf(",\"amount\":");
        print_amount(&command.amount);
        if (command.max_seconds > 0.0) {
            printf(",\"max_seconds\":%.17g", command.max_seconds);
        } else {
            printf(",\"max_seconds\":null");
        }
        print_number_or_null("issued", true, command.issued);
        print_number_or_null("expires", true, command.expires);
    }
    puts(result == TIRTA_OK || result == TIRTA_UNKNOWN_ACTION || result == TIRTA_OUT_OF_RANGE ? "}" : "");
}

static void answer_stored(const char *text, size_t length) {
    struct tirta_position stored;
    const enum tirta_result result = tirta_stored_parse(text, length, &stored);
    printf("%s", tirta_code(result));
    if (result == TIRTA_OK) {
        printf(" {\"boot\":%" PRIu32 ",\"seq\":%" PRIu32 "}", stored.boot, stored.seq);
    }
    putchar('\n');
}

static void answer_error(const char *text, size_t length) {
    struct tirta_error error;
    const enum tirta_result result = tirta_error_parse(text, length, &error);
    printf("%s", tirta_code(result));
    if (result == TIRTA_OK) {
        printf(" {\"code\":\"%s\",\"detail_hex\":\"", error.code);
        runner_print_hex(error.detail, strlen(error.detail));
        putchar('"');
        print_number_or_null("seq", error.has_seq, error.seq);
        putchar('}');
    }
    putchar('\n');
}

static void answer_config(const char *text, size_t length) {
    struct tirta_config config;
    const enum tirta_result result = tirta_config_parse(text, length, &config);
    printf("%s", tirta_code(result));
    if (result == TIRTA_OK) {
        printf(" {\"version\":%" PRIu32, config.version);
        print_number_or_null("telemetry_s", config.has_telemetry_s, config.telemetry_s);
        printf(",\"refused\":[%s]}", config.telemetry_s_refused ? "\"telemetry_s\"" : "");
    }
    putchar('\n');
}

static void answer_topic(const char *text, size_t length) {
    struct tirta_topic topic;
    const enum tirta_result result = tirta_topic_parse(text, length, &topic);
    printf("%s", tirta_code(result));
    if (result == TIRTA_OK) {
        printf(" {\"site\":\"%s\",\"device\":\"%s\",\"channel\":\"%s\"}", topic.site, topic.device,
               tirta_channel_name(topic.channel));
    }
    putchar('\n');
}

static void answer_parse(const struct words *words, void (*answer)(const char *, size_t)) {
    size_t length = 0;
    char *const text = runner_unhex(runner_word(words, 1), &length, false);
    answer(text, length);
    free(text);
}

bool runner_parse(const struct words *words) {
    const char *const question = runner_word(words, 0);
    if (strcmp(question, "topic") == 0) {
        answer_parse(words, answer_topic);
    } else if (strcmp(question, "command") == 0) {
        answer_parse(words, answer_command);
    } else if (strcmp(question, "stored") == 0) {
        answer_parse(words, answer_stored);
    } else if (strcmp(question, "error") == 0) {
        answer_parse(words, answer_error);
    } else if (strcmp(question, "config") == 0) {
        answer_parse(words, answer_config);
    } else {
        return false;
    }
    return true;
}
