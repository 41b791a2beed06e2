# SPDX-License-Identifier: Apache-2.0
"""What a caller of an earlier API would miss in this one, or would have to do otherwise.

An answer may gain fields and must lose none; what is sent may lose no field either, since an unknown one is refused, and must
need no more than before. A value that an answer never had before (null, or another word of a list) is told too: callers with
types of their own fall over it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

__all__ = ["breaks"]

Way = Literal["answer", "body"]
Schema = Mapping[str, Any]
_BOUNDS = {"maximum": -1, "maxLength": -1, "maxItems": -1, "exclusiveMaximum": -1, "minimum": 1, "minLength": 1, "minItems": 1,
           "exclusiveMinimum": 1}  # fmt: skip


def breaks(old: Schema, new: Schema) -> list[str]:
    """Return what breaks between two descriptions (OpenAPI), one sentence each."""
    return sorted(set(_Comparison(old, new).run()))


class _Comparison:
    def __init__(self, old: Schema, new: Schema) -> None:
        self._old, self._new = old, new

    def run(self) -> Iterator[str]:
        for path, methods in self._old["paths"].items():
            for method, operation in methods.items():
                name = f"{method.upper()} {path}"
                now = self._new["paths"].get(path, {}).get(method)
                if now is None:
                    yield f"{name} is gone"
                else:
                    yield from self._parameters(name, operation, now)
                    yield from self._body(name, operation, now)
                    yield from self._answers(name, operation, now)

    def _parameters(self, name: str, old: Schema, new: Schema) -> Iterator[str]:
        known = {each["name"]: each for each in old.get("parameters", ())}
        now = {each["name"]: each for each in new.get("parameters", ())}
        for each in known.keys() - now.keys():
            yield f"{name}: {each} is no longer taken"
        for each, parameter in now.items():
            if parameter.get("required") and not known.get(each, {}).get("required"):
                yield f"{name}: {each} is now required"
            if each in known:
                yield from self._compare(
                    f"{name}: {each}", known[each].get("schema", {}), parameter.get("schema", {}), "body", ()
                )

    def _body(self, name: str, old: Schema, new: Schema) -> Iterator[str]:
        before, now = (_content(each.get("requestBody", {})) for each in (old, new))
        if now and not before and new["requestBody"].get("required"):
            yield f"{name}: a body is now required"
        if before and not now:
            yield f"{name}: a body is no longer taken"
        if before and now:
            yield from self._compare(f"{name}: body", before, now, "body", ())

    def _answers(self, name: str, old: Schema, new: Schema) -> Iterator[str]:
        for status, answer in old.get("responses", {}).items():
            if not status.startswith("2"):
                continue
            now = new.get("responses", {}).get(status)
            if now is None:
                yield f"{name}: {status} is no longer answered"
            elif before := _content(answer):
                yield from self._compare(f"{name}: answer", before, _content(now), "answer", ())

    def _compare(self, where: str, old: Schema, new: Schema, way: Way, seen: tuple[str, ...]) -> Iterator[str]:
        at = f"{old.get('$ref')} {new.get('$ref')}"
        if "$ref" in old and at in seen:
            return
        before, now = self._forms(self._old, old), self._forms(self._new, new)
        for form in sorted(before.keys() - now.keys()) if way == "body" else sorted(now.keys() - before.keys()):
            if before and now:  # what says nothing of its form could be anything before and after
                yield f"{where} {'may no longer be' if way == 'body' else 'may now be'} {form}"
        for form in before.keys() & now.keys():
            yield from self._same_form(where, before[form], now[form], way, (*seen, at))

    def _same_form(self, where: str, old: Schema, new: Schema, way: Way, seen: tuple[str, ...]) -> Iterator[str]:
        had, has = old.get("properties", {}), new.get("properties", {})
        for field in sorted(had.keys() - has.keys()):
            yield f"{where} {field} is gone"
        needed, needs = set(old.get("required", ())), set(new.get("required", ()))
        for field in sorted(needs - needed if way == "body" else (needed - needs) & has.keys()):
            yield f"{where} {field} is now required" if way == "body" else f"{where} {field} may now be absent"
        for field in sorted(had.keys() & has.keys()):
            yield from self._compare(f"{where} {field}", had[field], has[field], way, seen)
        for inner in ("items", "additionalProperties"):
            if isinstance(old.get(inner), Mapping) and isinstance(new.get(inner), Mapping):
                yield from self._compare(f"{where} []", old[inner], new[inner], way, seen)
        if way == "body":
            yield from _tighter(where, old, new)

    def _forms(self, description: Schema, schema: Schema) -> dict[str, Schema]:
        """Return every form that a value may have, by its type, its word, or the word that tells objects apart."""
        while "$ref" in schema:
            schema = description["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        for several in ("anyOf", "oneOf"):
            if several in schema:
                found: dict[str, Schema] = {}
                for one in schema[several]:
                    found |= self._forms(description, one)
                return found
        if "enum" in schema:
            return {repr(word): {} for word in schema["enum"]}
        if "const" in schema:
            return {repr(schema["const"]): {}}
        if "type" not in schema:
            return {}
        told = schema.get("properties", {}).get("type", {}).get("const")
        return {schema["type"] if told is None else f"{schema['type']} of type {told}": schema}


def _content(part: Schema) -> Schema:
    content: Schema = part.get("content", {}).get("application/json", {}).get("schema", {})
    return content


def _tighter(where: str, old: Schema, new: Schema) -> Iterator[str]:
    for bound, sign in _BOUNDS.items():
        if bound in new and (bound not in old or (new[bound] - old[bound]) * sign > 0):
            yield f"{where} has a tighter {bound}"
    if new.get("pattern") is not None and new["pattern"] != old.get("pattern"):
        yield f"{where} has another pattern"
