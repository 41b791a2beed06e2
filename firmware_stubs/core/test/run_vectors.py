# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: INP001 -- a script beside the C runner, in no package
"""Put the shared vectors to the C runner and judge its answers: `run_vectors.py RUNNER VECTORS [FILE...]`.

Needs nothing but Python's own library, so that it runs wherever the core is built. JSON is compared by meaning; CBOR byte
by byte where the core has only one way to write it.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["FILES", "main"]

Vector = dict[str, Any]
Case = tuple[str, str, Callable[[str], bool]]  # a name, a question to the runner, and the judge of its answer

_TIMEOUT_S = 120
_SEED = 20251122
_RESULTS = 10  # values of enum tirta_result, and one that is none


def _payload(vector: Vector) -> bytes:
    """Return the bytes of a vector's payload, in whichever of its forms they are written."""
    if "payload" in vector:
        return str(vector["payload"]).encode()
    if "payload_hex" in vector:
        return bytes.fromhex(vector["payload_hex"])
    repeat = vector["payload_repeat"]
    text = repeat["head"] + repeat["separator"].join([repeat["unit"]] * repeat["times"]) + repeat["tail"]
    return str(text).encode()


def _hex(data: bytes) -> str:
    return data.hex() or "."


def _word(value: object) -> str:
    return "-" if value is None else str(value)


def _text(value: str | None) -> str:
    return "-" if value is None else _hex(value.encode())


def _says(code: str, value: object | None = None) -> Callable[[str], bool]:
    """Judge an answer by its code and, where one is given, its value."""

    def judge(answer: str) -> bool:
        got, _, rest = answer.partition(" ")
        return got == code and (value is None or json.loads(rest) == value)

    return judge


def _slim(value: object) -> object:
    """Leave out what is absent: null, and an empty object or list."""
    if isinstance(value, dict):
        slim = {key: _slim(inner) for key, inner in value.items()}
        return {key: inner for key, inner in slim.items() if inner is not None and inner not in ({}, [])}
    return [_slim(inner) for inner in value] if isinstance(value, list) else value


def _writes(payload: bytes) -> Callable[[str], bool]:
    """Judge a written JSON payload by its meaning."""

    def judge(answer: str) -> bool:
        code, _, rest = answer.partition(" ")
        return code == "ok" and _slim(json.loads(bytes.fromhex(rest))) == _slim(json.loads(payload))

    return judge


def _topics(data: dict[str, list[Vector]]) -> Iterator[Case]:
    for vector in data["valid"]:
        parts = {key: vector[key] for key in ("site", "device", "channel")}
        yield vector["name"], f"topic {_hex(vector['topic'].encode())}", _says("ok", parts)
        question = f"build-topic {_text(parts['site'])} {_text(parts['device'])} {parts['channel']}"
        yield f"{vector['name']} (built)", question, f"ok {vector['topic']}".__eq__
    for vector in data["invalid"]:
        yield vector["name"], f"topic {_hex(vector['topic'].encode())}", _says(vector["error"])
    for vector in data["unbuildable"]:
        question = f"build-topic {_text(vector['site'])} {_text(vector['device'])} {vector['channel']}"
        yield vector["name"], question, _says(vector["error"])


def _record(record: Vector) -> str:
    fixed = [_word(record["ts"]), _word(record["boot"]), _word(record["seq"]), str(record["zone"])]
    values = [f"{name}={json.dumps(value)}" for name, value in record["values"].items()]
    return " ".join([*fixed, *values, "/"])


def _telemetry(data: dict[str, list[Vector]]) -> Iterator[Case]:
    for vector in data["encode"]:
        shape = "array" if vector["array"] else "one"
        records = " ".join(_record(record) for record in vector["records"])
        cbor = bytes.fromhex(vector["payload_hex"])
        if vector["array"]:  # the core writes arrays of a length it does not know yet
            cbor = b"\x9f" + cbor[1:] + b"\xff"
        yield vector["name"], f"telemetry json {shape} {records}", _writes(_payload({"payload": vector["payload"]}))
        yield f"{vector['name']} (CBOR)", f"telemetry cbor {shape} {records}", _written_whole(vector, cbor)
    yield from _telemetry_of_its_own()


def _written_whole(vector: Vector, cbor: bytes) -> Callable[[str], bool]:
    """Judge written CBOR; a whole number of the vector is a float to the core."""
    if all(not isinstance(value, int) or isinstance(value, bool) for r in vector["records"] for value in r["values"].values()):
        return f"ok {cbor.hex()}".__eq__
    return lambda answer: answer.startswith("ok ")


def _telemetry_of_its_own() -> Iterator[Case]:
    """What only a writer can get wrong: numbers that cannot be sent, and full batches."""
    refused = {"nan": "out-of-range", "inf": "out-of-range", "-inf": "out-of-range", "1e13": "out-of-range"}
    for number, code in refused.items():
        for form in ("json", "cbor"):
            yield f"{number} is not sent as {form}", f"telemetry {form} one - - - 1 flow={number} /", _says(code)
    yield "zone 0 is not sent", "telemetry json one - - - 0 flow=1 /", _says("out-of-range")
    yield "zone 65 is not sent", "telemetry json one - - - 65 flow=1 /", _says("out-of-range")
    yield "a name with a quote is not sent", 'telemetry json one - - - 1 fl"ow=1 /', _says("bad-argument")
    decimals = {
        "0.0000004": 0,
        "-0.0000004": 0,
        "0.0000006": 0.000001,
        "-0.1": -0.1,
        "8999999999.999999": 8999999999.999999,
        "9000000000.0005": 9000000000.001,
        "8.9e12": 8.9e12,
        "0.1": 0.1,
        "1e-300": 0,
        "27.12345649": 27.123456,
    }
    for number, value in decimals.items():
        expected = json.dumps({"zone": 1, "flow": value}).encode()
        yield f"{number} in decimal", f"telemetry json one - - - 1 flow={number} /", _writes(expected)
    floats = {
        "1.5": "f93e00",
        "-2": "f9c000",
        "65504": "f97bff",
        "65536": "fa47800000",
        "27.25": "f94ed0",
        "0": "f90000",
        "0.00006103515625": "f90400",
        "0.000030517578125": "fa38000000",
        "100000": "fa47c35000",
        "0.1": "fb3fb999999999999a",
    }
    for number, code in floats.items():
        answer = "ok " + (b"\xa2\x64zone\x01\x64flow".hex() + code)
        yield f"{number} as the shortest float", f"telemetry cbor one - - - 1 flow={number} /", answer.__eq__
    sizes = (1, 2, 19, 20, 21, 22, 200, 5000, 65536, 70000)
    yield from (_filled(form, capacity) for form in ("json", "cbor") for capacity in sizes)


def _filled(form: str, capacity: int) -> Case:
    record = '{"zone":1,"flow":1.5}' if form == "json" else ""
    one = len(record) + 1 if form == "json" else len(b"\xa2\x64zone\x01\x64flow") + 3
    fits = min(500, (min(capacity, 65536) - (1 if form == "json" else 2)) // one)

    def judge(answer: str) -> bool:
        if capacity < 2:
            return answer == "no-space"
        code, count, payload = answer.split(" ")
        data = bytes.fromhex(payload)
        whole = data == b"\x9f" + (b"\xa2\x64zone\x01\x64flow\xf9\x3e\x00") * fits + b"\xff"
        if form == "json":
            whole = json.loads(data) == [json.loads(record)] * fits
        return code == "ok" and int(count) == fits and whole

    return f"a {form} batch in {capacity} bytes", f"fill-batch {form} {capacity}", judge


def _commands(data: dict[str, list[Vector]]) -> Iterator[Case]:
    for vector in (*data["decode"], *data["encode"]):
        question = f"command {_hex(_payload(vector))}"
        if "reject" in vector:
            yield vector["name"], question, _says(vector["reject"], {"id": vector["id"], "n": vector["n"]})
        elif "error" in vector:
            yield vector["name"], question, _says(_device_code(vector["error"]))
        else:
            yield vector["name"], question, _says("ok", vector["command"])


def _device_code(code: str) -> str:
    return code if code in ("too-large", "too-deep") else "malformed"


def _acks(data: dict[str, list[Vector]]) -> Iterator[Case]:
    for vector in data["encode"]:
        ack = vector["ack"]
        fields = [ack["n"], ack["state"], ack["reason"], ack["action"], ack["zone"]]
        amounts = [ack["result"].get(part) for part in ("seconds", "litres", "grams")]
        question = " ".join(["ack", _text(ack["id"]), *map(_word, [*fields, *amounts, ack["ts"]])])
        yield vector["name"], question, _writes(_payload(vector))
    wrong = {"id with a quote": "6122", "empty id": ".", "id of 65": "61" * 65}
    for name, act_id in wrong.items():
        yield f"ack with an {name} is not sent", f"ack {act_id} - done - - - - - - -", _says("bad-argument")
    yield "ack with an unknown state is not sent", "ack 61 - finished - - - - - - -", _says("bad-argument")
    yield "ack with an unknown reason is not sent", "ack 61 - failed tired - - - - - -", _says("bad-argument")
    yield "ack of a negative result is not sent", "ack 61 - done - - - - -1 - -", _says("out-of-range")
    yield "ack of no number is not sent", "ack 61 - done - - - nan - - -", _says("out-of-range")


def _position(position: dict[str, int] | None) -> str:
    return "-" if position is None else f"{position['boot']}:{position['seq']}"


def _status(data: dict[str, list[Vector]]) -> Iterator[Case]:
    for vector in data["encode"]:
        status = vector["status"]
        fields = [status["boot"], status["zones"], status["n"]]
        places = [_position(status["oldest"]), _position(status["last"]), _word(status["rssi"]), _word(status["ts"])]
        ledger = [word for act in status["ledger"] for word in (act["id"], act["state"])]
        online = json.dumps(status["online"])
        words = [online, _text(status["kind"]), _text(status["fw"]), *map(_word, fields), *places, *ledger]
        yield vector["name"], " ".join(["status", *words]), _writes(_payload(vector))
    crowded = " ".join(f"a{number} done" for number in range(17))
    yield "a ledger of 17 is not sent", f"status true - - - - - - - - - {crowded}", _says("out-of-range")
    escaped = json.dumps({"online": True, "fw": 'a"\\\n\u00e9'}).encode()
    text = 'a"\\\n\u00e9'
    yield "a firmware's name is escaped", f"status true - {_text(text)} - - - - - - -", _writes(escaped)


def _stored(data: dict[str, list[Vector]]) -> Iterator[Case]:
    for vector in (*data["decode"], *data["encode"]):
        expected = _says(_device_code(vector["error"])) if "error" in vector else _says("ok", vector["stored"])
        yield vector["name"], f"stored {_hex(_payload(vector))}", expected


def _error(data: dict[str, list[Vector]]) -> Iterator[Case]:
    for vector in (*data["decode"], *data["encode"]):
        question = f"error {_hex(_payload(vector))}"
        if "error" in vector:
            yield vector["name"], question, _says(_device_code(vector["error"]))
        else:
            note = vector["error_message"]
            value = {"code": note["code"], "detail_hex": note["detail"].encode().hex(), "seq": note["seq"]}
            yield vector["name"], question, _says("ok", value)
    long = {"code": "malformed", "detail": "x" * 199 + "\u00b0 more"}
    cut = {"code": "malformed", "detail_hex": ("x" * 199).encode().hex(), "seq": None}
    question = f"error {json.dumps(long, ensure_ascii=False).encode().hex()}"
    yield "a longer detail is cut between characters", question, _says("ok", cut)
    yield "every result has a word and a sentence of its own", "results", _all_differ
    nul = rb'{"code":"a","detail":"\u0000"}'
    yield "U+0000 in a detail", f"error {_hex(nul)}", _says("malformed")


def _all_differ(answer: str) -> bool:
    pairs = [pair.split("=") for pair in answer.rstrip(";").split(";") if "=" in pair]
    return len(pairs) == _RESULTS and len({word for word, _ in pairs}) == len({text for _, text in pairs}) == _RESULTS


def _config(data: dict[str, list[Vector]]) -> Iterator[Case]:
    for vector in data["decode"]:
        question = f"config {_hex(_payload(vector))}"
        if "error" in vector:
            yield vector["name"], question, _says(_device_code(vector["error"]))
        else:
            yield vector["name"], question, _says("ok", {**vector["config"], "refused": vector["refused"]})


FILES: dict[str, Callable[[dict[str, list[Vector]]], Iterator[Case]]] = {
    "topics": _topics,
    "telemetry": _telemetry,
    "commands": _commands,
    "acks": _acks,
    "status": _status,
    "stored": _stored,
    "error": _error,
    "config": _config,
}
_PARSED = {"topics": "topic", "commands": "command", "stored": "stored", "error": "error", "config": "config"}


def _damaged(file: str, data: dict[str, list[Vector]]) -> Iterator[Case]:
    """Cut every payload at every byte and change bytes of it at random: any answer will do, as long as there is one."""
    random_source = random.Random(_SEED)
    for vectors in data.values():
        for vector in vectors:
            payload = vector["topic"].encode() if "topic" in vector else _payload(vector) if "payload" in vector else b""
            for cut in range(min(len(payload), 600)):
                yield f"{vector['name']} cut at {cut}", f"{_PARSED[file]} {_hex(payload[:cut])}", bool
            for _ in range(50 if payload else 0):
                changed = bytearray(payload)
                changed[random_source.randrange(len(changed))] = random_source.randrange(256)
                yield f"{vector['name']} as {changed.hex()}", f"{_PARSED[file]} {_hex(bytes(changed))}", bool


def _ask(runner: Path, cases: list[Case]) -> list[str]:
    questions = "".join(f"{question}\n" for _, question, _ in cases)
    done = subprocess.run([runner], input=questions, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    answers = done.stdout.splitlines()
    if done.returncode != 0 or len(answers) != len(cases):
        at = cases[len(answers)][0] if len(answers) < len(cases) else "the end"
        sys.exit(f"the runner ended with {done.returncode} at {at!r}:\n{done.stderr}")
    return answers


def main(arguments: list[str]) -> int:
    """Run the files named, or all; print what failed and return the exit code."""
    if len(arguments) < 2 or any(name not in FILES for name in arguments[2:]):
        sys.stderr.write(f"usage: run_vectors.py RUNNER VECTORS [FILE...], a FILE being one of {', '.join(FILES)}\n")
        return 2
    runner, folder = Path(arguments[0]), Path(arguments[1])
    failed = 0
    for name in arguments[2:] or FILES:
        data = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        vectors = {key: value for key, value in data.items() if isinstance(value, list)}
        cases = list(FILES[name](vectors))
        if not cases:
            sys.exit(f"{name}: no vectors found in {folder}")
        answers = _ask(runner, cases)
        wrong = [(case[0], answer) for case, answer in zip(cases, answers, strict=True) if not case[2](answer)]
        for case_name, answer in wrong:
            sys.stdout.write(f"{name}: {case_name}: got {answer[:200]}\n")
        damaged = list(_damaged(name, vectors)) if name in _PARSED else []
        _ask(runner, damaged)
        failed += len(wrong)
        sys.stdout.write(f"{name}: {len(cases) - len(wrong)} of {len(cases)} right, {len(damaged)} damaged payloads survived\n")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
