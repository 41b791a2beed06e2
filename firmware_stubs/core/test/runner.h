/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the runner share: words of a question, memory, hex. */
#ifndef TIRTA_RUNNER_H
#define TIRTA_RUNNER_H

#include <stdbool.h>
#include <stddef.h>

#define RUNNER_WORDS_MAX 64u

struct words {
    char *at[RUNNER_WORDS_MAX];
    size_t count;
};

/* Say why and end with exit code 2: the question was wrong, or the core broke a promise that no answer can tell. */
void runner_die(const char *why);

void *runner_allocate(size_t size);

/* The word at `index`; ends the runner when there is none. */
const char *runner_word(const struct words *words, size_t index);

bool runner_is_none(const char *text);

/* Turn hex into a block of exactly that many bytes (one more, a NUL, when `text` is wanted). */
char *runner_unhex(const char *hex, size_t *length, bool text);
char *runner_unhex_text(const char *hex);

void runner_print_hex(const void *bytes, size_t length);

/* Answer a question if it is one of these parts' own; false otherwise. */
bool runner_parse(const struct words *words);
bool runner_write(const struct words *words);

#endif
