"""Changes of an OpenAPI document that break clients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_METHODS = ("get", "post", "put", "patch", "delete")
_ROLES = ("none", "viewer", "operator", "admin")
_LIMITS = ("enum", "maximum", "minimum", "maxLength", "minLength", "maxItems", "minItems", "pattern")
_DEEPEST = 12

Document = Mapping[str, Any]


def breaking_changes(old: Document, new: Document) -> list[str]:
    """Return a sentence for each change by which a client of `old` can fail on `new`.

    A path or method is gone; a field of an answer is gone, may be NULL, or has another type; a field of a request is
    gone, required, or has another type or limit; a route needs a higher role.
    """
    return sorted(_changes(old, new))


def _changes(old: Document, new: Document) -> Iterator[str]:
    for path, methods in old["paths"].items():
        for method in (name for name in methods if name in _METHODS):
            place, after = f"{method.upper()} {path}", new["paths"].get(path, {}).get(method)
            if after is None:
                yield f"{place} is gone"
                continue
            before = methods[method]
            if _ROLES.index(after.get("x-role", "none")) > _ROLES.index(before.get("x-role", "none")):
                yield f"{place} needs the role {after['x-role']}, not {before.get('x-role', 'none')}"
            yield from _parameters(place, before, after)
            yield from _request(f"{place} body", *_bodies(before, after), old, new)
            yield from _answer(f"{place} answer", *_answers(before, after), old, new)


def _parameters(place: str, before: Document, after: Document) -> Iterator[str]:
    old, new = ({(one["in"], one["name"]): one for one in each.get("parameters", ())} for each in (before, after))
    yield from (f"{place}: parameter {name} is gone" for (kind, name) in old if (kind, name) not in new)
    for key, one in new.items():
        if one.get("required") and not old.get(key, {}).get("required"):
            yield f"{place}: parameter {key[1]} is required"
        if key in old and old[key].get("schema", {}).get("type") != one.get("schema", {}).get("type"):
            yield f"{place}: parameter {key[1]} has another type"


def _bodies(before: Document, after: Document) -> tuple[Any, Any]:
    found = [one.get("requestBody", {}).get("content", {}) for one in (before, after)]
    return tuple(next(iter(one.values()), {}).get("schema", {}) for one in found)  # pyright: ignore[reportReturnType]


def _answers(before: Document, after: Document) -> tuple[Any, Any]:
    found = [one["responses"].get("200", {}).get("content", {}) for one in (before, after)]
    return tuple(next(iter(one.values()), {}).get("schema", {}) for one in found)  # pyright: ignore[reportReturnType]


def _request(place: str, before: Any, after: Any, old: Document, new: Document, depth: int = 0) -> Iterator[str]:
    before, after = _resolved(before, old), _resolved(after, new)
    if depth > _DEEPEST:
        return
    if not _types(before) <= _types(after):
        yield f"{place} was {_shown(before)} and is {_shown(after)}"
    yield from (f"{place}: {name} changed" for name in _LIMITS if name in after and before.get(name) != after[name])
    fields = before.get("properties", {})
    for name, field in after.get("properties", {}).items():
        is_required = name in after.get("required", ()) and name not in before.get("required", ())
        if is_required and (fields or not before):
            yield f"{place}: {name} is required"
        if name in fields:
            yield from _request(f"{place}.{name}", fields[name], field, old, new, depth + 1)
    yield from (f"{place}: {name} is gone" for name in fields if name not in after.get("properties", {}))
    if "items" in before and "items" in after:
        yield from _request(f"{place}[]", before["items"], after["items"], old, new, depth + 1)


def _answer(place: str, before: Any, after: Any, old: Document, new: Document, depth: int = 0) -> Iterator[str]:
    before, after = _resolved(before, old), _resolved(after, new)
    if depth > _DEEPEST:
        return
    if not _types(after) <= _types(before):
        yield f"{place} was {_shown(before)} and is {_shown(after)}"
    fields = after.get("properties", {})
    for name, field in before.get("properties", {}).items():
        if name not in fields:
            yield f"{place}: {name} is gone"
            continue
        if name in before.get("required", ()) and name not in after.get("required", ()):
            yield f"{place}: {name} may be missing"
        yield from _answer(f"{place}.{name}", field, fields[name], old, new, depth + 1)
    if "items" in before and "items" in after:
        yield from _answer(f"{place}[]", before["items"], after["items"], old, new, depth + 1)


def _resolved(schema: Any, document: Document) -> Any:
    if "$ref" not in schema:
        return schema
    return _resolved(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)


def _types(schema: Any) -> frozenset[str]:
    """Types that a value may have; of a choice, those of each branch, references by their name."""
    if "anyOf" in schema:
        return frozenset().union(*(_types(one) for one in schema["anyOf"]))
    if "$ref" in schema:
        return frozenset({schema["$ref"]})
    return frozenset({schema["type"]}) if "type" in schema else frozenset()


def _shown(schema: Any) -> str:
    return " or ".join(sorted(_types(schema))) or "anything"
