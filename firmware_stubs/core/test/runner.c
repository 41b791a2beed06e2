/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host side of the vectors: one question a line on standard input, one answer a line on standard output. Words are
 * separated by spaces; texts and bytes are in hex ("-" for none, "." for empty). run_vectors.py asks and judges.
 *
 * Every payload is parsed from, and every message written into, a heap block of exactly its size, so that the address
 * sanitizer sees the first byte read or written beyond it; each message is also written into every smaller size.
 */
#include "runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tirta_core.h"

#define LINE_MAX_BYTES 400000u /* a payload over 64 KiB in hex, and then some */

void runner_die(const char *why) {
    fprintf(stderr, "runner: %s\n", why);
    exit(2);
}

void *runner_allocate(size_t size) {
    void *const block = malloc(size == 0u ? 1u : size);
    if (block == NULL) {
        runner_die("out of memory");
    }
    return block;
}

const char *runner_word(const struct words *words, size_t index) {
    if (index >= words->count) {
        runner_die("a word is missing");
    }
    return words->at[index];
}

bool runner_is_none(const char *text) {
    return strcmp(text, "-") == 0;
}

char *runner_unhex(const char *hex, size_t *length, bool text) {
    *length = strcmp(hex, ".") == 0 ? 0u : strlen(hex) / 2u;
    char *const block = runner_allocate(*length + (text ? 1u : 0u));
    for (size_t i = 0; i < *length; i++) {
        unsigned byte = 0;
        if (sscanf(hex + 2u * i, "%2x", &byte) != 1) {
            runner_die("not hex");
        }
        block[i] = (char)byte;
    }
    if (text) {
        block[*length] = '\0';
    }
    return block;
}

char *runner_unhex_text(const char *hex) {
    size_t length = 0;
    return runner_unhex(hex, &length, true);
}

void runner_print_hex(const void *bytes, size_t length) {
    const unsigned char *const at = bytes;
    for (size_t i = 0; i < length; i++) {
        printf("%02x", at[i]);
    }
}

/* Every result has a word and a sentence of its own. */
static void answer_results(void) {
    for (int result = TIRTA_OK; result <= TIRTA_BAD_ARGUMENT + 1; result++) {
        printf("%s=%s;", tirta_code((enum tirta_result)result), tirta_strerror((enum tirta_result)result));
    }
    putchar('\n');
}

int main(void) {
    char *const line = runner_allocate(LINE_MAX_BYTES);
    while (fgets(line, LINE_MAX_BYTES, stdin) != NULL) {
        struct words words = {.count = 0};
        for (char *at = strtok(line, " \n"); at != NULL && words.count < RUNNER_WORDS_MAX; at = strtok(NULL, " \n")) {
            words.at[words.count++] = at;
        }
        if (!runner_parse(&words) && !runner_write(&words)) {
            if (strcmp(runner_word(&words, 0), "results") != 0) {
                runner_die("no such question");
            }
            answer_results();
        }
    }
    free(line);
    return 0;
}
