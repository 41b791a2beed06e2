/* SPDX-License-Identifier: Apache-2.0 */
/* Questions that write: the answer is the result's code and the topic, or the payload in hex. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner.h"
#include "tirta_core.h"

#define OUT_MAX 70000u

struct encoding {
    enum tirta_result (*encode)(const void *value, uint8_t *out, size_t capacity, size_t *length);
    const void *value;
};

static void answer_encode(struct encoding e) {
    size_t length = 0;
    size_t again = 0;
    uint8_t *const large = runner_allocate(OUT_MAX);
    const enum tirta_result result = e.encode(e.value, large, OUT_MAX, &length);
    printf("%s", tirta_code(result));
    if (result == TIRTA_OK) {
        for (size_t capacity = 0; capacity <= length; capacity++) {
            uint8_t *const exact = runner_allocate(capacity);
            const enum tirta_result expected = capacity < length ? TIRTA_NO_SPACE : TIRTA_OK;
            if (e.encode(e.value, exact, capacity, &again) != expected) {
                runner_die("a size smaller than the message was not refused, or its own size was");
            }
            free(exact);
        }
        putchar(' ');
        runner_print_hex(large, length);
    }
    putchar('\n');
    free(large);
}

static enum tirta_result encode_ack(const void *value, uint8_t *out, size_t capacity, size_t *length) {
    return tirta_ack_encode(value, (char *)out, capacity, length);
}

static enum tirta_result encode_status(const void *value, uint8_t *out, size_t capacity, size_t *length) {
    return tirta_device_status_encode(value, (char *)out, capacity, length);
}

struct telemetry {
    enum tirta_format format;
    bool array;
    struct tirta_record records[4];
    struct tirta_quantity quantities[4][24];
    size_t count;
};

static enum tirta_result encode_telemetry(const void *value, uint8_t *out, size_t capacity, size_t *length) {
    const struct telemetry *const t = value;
    struct tirta_batch batch;
    if (!t->array) {
        return tirta_record_encode(t->format, &t->records[0], out, capacity, length);
    }
    enum tirta_result result = tirta_batch_begin(&batch, t->format, out, capacity);
    for (size_t i = 0; i < t->count && result == TIRTA_OK; i++) {
        result = tirta_batch_add(&batch, &t->records[i]);
    }
    return result == TIRTA_OK ? tirta_batch_end(&batch, length) : result;
}

static uint64_t read_number(const char *text, bool *has) {
    *has = !runner_is_none(text);
    return *has ? strtoull(text, NULL, 10) : 0u;
}

static double read_double(const char *text, bool *has) {
    *has = !runner_is_none(text);
    return *has ? strtod(text, NULL) : 0.0;
}

/* telemetry json|cbor one|array, then for each record: ts boot seq zone name=value... / */
static void answer_telemetry(const struct words *words) {
    static struct telemetry t;
    memset(&t, 0, sizeof t);
    t.format = strcmp(runner_word(words, 1), "cbor") == 0 ? TIRTA_CBOR : TIRTA_JSON;
    t.array = strcmp(runner_word(words, 2), "array") == 0;
    for (size_t at = 3; at < words->count && t.count < 4u; at++) {
        struct tirta_record *const record = &t.records[t.count];
        struct tirta_quantity *const quantities = t.quantities[t.count];
        t.count++;
        record->ts = read_number(runner_word(words, at), &record->has_ts);
        record->boot = (uint32_t)read_number(runner_word(words, at + 1u), &record->has_boot);
        record->seq = (uint32_t)read_number(runner_word(words, at + 2u), &record->has_seq);
        record->zone = (uint8_t)atoi(runner_word(words, at + 3u));
        record->quantities = quantities;
        for (at += 4u; strcmp(runner_word(words, at), "/") != 0; at++) {
            char *const value = strchr(words->at[at], '=');
            if (value == NULL || record->quantity_count == 24u) {
                runner_die("not name=value");
            }
            *value = '\0';
            const bool boolean = strcmp(value + 1, "true") == 0 || strcmp(value + 1, "false") == 0;
            quantities[record->quantity_count].name = words->at[at];
            quantities[record->quantity_count].boolean = boolean;
            quantities[record->quantity_count].number =
                boolean ? (value[1] == 't' ? 1.0 : 0.0) : strtod(value + 1, NULL);
            record->quantity_count++;
        }
    }
    answer_encode((struct encoding){encode_telemetry, &t});
}

static enum tirta_ack_state find_state(const char *name) {
    int state = 0;
    while (tirta_ack_state_name((enum tirta_ack_state)state) != NULL &&
           strcmp(tirta_ack_state_name((enum tirta_ack_state)state), name) != 0) {
        state++;
    }
    return (enum tirta_ack_state)state;
}

static enum tirta_reason find_reason(const char *name) {
    int reason = 1;
    while (tirta_reason_name((enum tirta_reason)reason) != NULL &&
           strcmp(tirta_reason_name((enum tirta_reason)reason), name) != 0) {
        reason++;
    }
    return (enum tirta_reason)reason;
}

static enum tirta_action find_action(const char *name) {
    int action = 1;
    while (tirta_action_name((enum tirta_action)action) != NULL &&
           strcmp(tirta_action_name((enum tirta_action)action), name) != 0) {
        action++;
    }
    return (enum tirta_action)action;
}

/* ack id n state reason action zone seconds litres grams ts */
static void answer_ack(const struct words *words) {
    struct tirta_ack ack = {0};
    bool has_zone = false;
    char *const id = runner_unhex_text(runner_word(words, 1));
    ack.id = id;
    ack.n = (uint32_t)read_number(runner_word(words, 2), &ack.has_n);
    ack.state = find_state(runner_word(words, 3));
    ack.reason = runner_is_none(runner_word(words, 4)) ? TIRTA_NO_REASON : find_reason(runner_word(words, 4));
    ack.action = runner_is_none(runner_word(words, 5)) ? TIRTA_NO_ACTION : find_action(runner_word(words, 5));
    ack.zone = (uint8_t)read_number(runner_word(words, 6), &has_zone);
    ack.result.seconds = read_double(runner_word(words, 7), &ack.result.has_seconds);
    ack.result.litres = read_double(runner_word(words, 8), &ack.result.has_litres);
    ack.result.grams = read_double(runner_word(words, 9), &ack.result.has_grams);
    ack.ts = read_number(runner_word(words, 10), &ack.has_ts);
    answer_encode((struct encoding){encode_ack, &ack});
    free(id);
}

static bool read_position(const char *text, struct tirta_position *position) {
    return !runner_is_none(text) && sscanf(text, "%" SCNu32 ":%" SCNu32, &position->boot, &position->seq) == 2;
}

/* status online kind fw boot zones n oldest last rssi ts, then for each act of the ledger: id state */
static void answer_status(const struct words *words) {
    struct tirta_device_status status = {0};
    struct tirta_ledger_entry ledger[20];
    bool has_zones = false;
    char *const kind = runner_is_none(runner_word(words, 2)) ? NULL : runner_unhex_text(runner_word(words, 2));
    char *const fw = runner_is_none(runner_word(words, 3)) ? NULL : runner_unhex_text(runner_word(words, 3));
    status.online = strcmp(runner_word(words, 1), "true") == 0;
    status.kind = kind;
    status.fw = fw;
    status.boot = (uint32_t)read_number(runner_word(words, 4), &status.has_boot);
    status.zones = (uint8_t)read_number(runner_word(words, 5), &has_zones);
    status.n = (uint32_t)read_number(runner_word(words, 6), &status.has_n);
    status.has_oldest = read_position(runner_word(words, 7), &status.oldest);
    status.has_last = read_position(runner_word(words, 8), &status.last);
    status.rssi = (int8_t)read_double(runner_word(words, 9), &status.has_rssi);
    status.ts = (uint64_t)read_number(runner_word(words, 10), &status.has_ts);
    status.ledger = ledger;
    for (size_t at = 11; at + 1u < words->count && status.ledger_count < 20u; at += 2u) {
        ledger[status.ledger_count].id = words->at[at];
        ledger[status.ledger_count].state = find_state(words->at[at + 1u]);
        status.ledger_count++;
    }
    answer_encode((struct encoding){encode_status, &status});
    free(kind);
    free(fw);
}

/* build-topic site device channel */
static void answer_build(const struct words *words) {
    char *const site = runner_unhex_text(runner_word(words, 1));
    char *const device = runner_unhex_text(runner_word(words, 2));
    int channel = 0;
    while (tirta_channel_name((enum tirta_channel)channel) != NULL &&
           strcmp(tirta_channel_name((enum tirta_channel)channel), runner_word(words, 3)) != 0) {
        channel++;
    }
    size_t needed = 0;
    enum tirta_result result = TIRTA_NO_SPACE;
    while (result == TIRTA_NO_SPACE && needed <= TIRTA_TOPIC_MAX + 1u) {
        char *const exact = runner_allocate(needed);
        result = tirta_topic_build(site, device, (enum tirta_channel)channel, exact, needed);
        if (result != TIRTA_NO_SPACE) {
            printf("%s%s%s\n", tirta_code(result), result == TIRTA_OK ? " " : "", result == TIRTA_OK ? exact : "");
        }
        free(exact);
        needed++;
    }
    if (result == TIRTA_NO_SPACE) {
        runner_die("TIRTA_TOPIC_MAX is too small");
    }
    free(site);
    free(device);
}

/* fill-batch json|cbor capacity: add small records until one is refused; answer how many fitted and the payload. */
static void answer_fill(const struct words *words) {
    const struct tirta_quantity flow = {.name = "flow", .number = 1.5, .boolean = false};
    const struct tirta_record record = {.zone = 1, .quantities = &flow, .quantity_count = 1};
    const size_t capacity = (size_t)strtoull(runner_word(words, 2), NULL, 10);
    uint8_t *const out = runner_allocate(capacity);
    struct tirta_batch batch;
    size_t length = 0;
    enum tirta_result result =
        tirta_batch_begin(&batch, strcmp(runner_word(words, 1), "cbor") == 0 ? TIRTA_CBOR : TIRTA_JSON, out, capacity);
    if (result == TIRTA_OK) {
        while (tirta_batch_add(&batch, &record) == TIRTA_OK) {
        }
        result = tirta_batch_end(&batch, &length);
    }
    printf("%s", tirta_code(result));
    if (result == TIRTA_OK) {
        printf(" %zu ", batch.count);
        runner_print_hex(out, length);
        if (tirta_batch_add(&batch, &record) != TIRTA_BAD_ARGUMENT) {
            runner_die("a batch that was ended took another record");
        }
    }
    putchar('\n');
    free(out);
}

bool runner_write(const struct words *words) {
    const char *const question = runner_word(words, 0);
    if (strcmp(question, "build-topic") == 0) {
        answer_build(words);
    } else if (strcmp(question, "telemetry") == 0) {
        answer_telemetry(words);
    } else if (strcmp(question, "ack") == 0) {
        answer_ack(words);
    } else if (strcmp(question, "status") == 0) {
        answer_status(words);
    } else if (strcmp(question, "fill-batch") == 0) {
        answer_fill(words);
    } else {
        return false;
    }
    return true;
}
