/* SPDX-License-Identifier: Apache-2.0 */
/* Results as words and as sentences. */
#include "tirta_result.h"

const char *tirta_code(enum tirta_result result) {
    switch (result) {
    case TIRTA_OK: return "ok";
    case TIRTA_MALFORMED: return "malformed";
    case TIRTA_TOO_LARGE: return "too-large";
    case TIRTA_TOO_DEEP: return "too-deep";
    case TIRTA_BAD_TOPIC: return "bad-topic";
    case TIRTA_UNKNOWN_ACTION: return "unknown-action";
    case TIRTA_OUT_OF_RANGE: return "out-of-range";
    case TIRTA_NO_SPACE: return "no-space";
    case TIRTA_BAD_ARGUMENT: return "bad-argument";
    }
    return "unknown-result";
}

const char *tirta_strerror(enum tirta_result result) {
    switch (result) {
    case TIRTA_OK: return "done";
    case TIRTA_MALFORMED: return "the payload is not what the contract says";
    case TIRTA_TOO_LARGE: return "the payload is over 64 KiB";
    case TIRTA_TOO_DEEP: return "the payload has more than four containers inside one another";
    case TIRTA_BAD_TOPIC: return "not a topic tirta/v1/{site}/{device}/{channel}, names being 1 to 64 of a-z 0-9 - _";
    case TIRTA_UNKNOWN_ACTION: return "the command's action is not known";
    case TIRTA_OUT_OF_RANGE: return "a value is missing, of the wrong type or outside its range";
    case TIRTA_NO_SPACE: return "the memory given is too small for the result";
    case TIRTA_BAD_ARGUMENT: return "an argument is missing or impossible";
    }
    return "no result of this core";
}
