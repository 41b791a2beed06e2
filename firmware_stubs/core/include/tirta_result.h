/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every function of the core answers. Nothing is ever half done: unless a function says otherwise, its output is
 * meant to be read only after TIRTA_OK.
 */
#ifndef TIRTA_RESULT_H
#define TIRTA_RESULT_H

enum tirta_result {
    TIRTA_OK = 0,
    TIRTA_MALFORMED,      /* not what the contract says: drop it */
    TIRTA_TOO_LARGE,      /* over TIRTA_PAYLOAD_MAX bytes: drop it */
    TIRTA_TOO_DEEP,       /* over TIRTA_DEPTH_MAX containers inside one another: drop it */
    TIRTA_BAD_TOPIC,      /* not a topic of the contract, or not a name that may be part of one */
    TIRTA_UNKNOWN_ACTION, /* a command to ack as rejected with this reason */
    TIRTA_OUT_OF_RANGE,   /* a command to ack as rejected with this reason; or a number that must not be sent */
    TIRTA_NO_SPACE,       /* the caller's memory is too small; nothing beyond its end was written */
    TIRTA_BAD_ARGUMENT    /* the caller's mistake: a missing or impossible argument */
};

/* The contract's word for a result, as in `error` and in the reason of an ack; "ok" for TIRTA_OK. Never NULL. */
const char *tirta_code(enum tirta_result result);

/* A sentence for a log or a console. Never NULL. */
const char *tirta_strerror(enum tirta_result result);

#endif
