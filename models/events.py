"""The event record: CloudEvents 1.0 attributes (github.com/cloudevents/spec), one JSON object as data."""

import hashlib
import json
import re
import reprlib
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from models.errors import TesseraError, clause

#: Larger events are refused: a queue is no file store.
MAX_EVENT_BYTES = 65_536
#: What can be read here must also be read where more calls are under way, as in a run of Dagster.
_MAX_NESTING = 100

#: CloudEvents' String: no control characters.
_Text = Annotated[str, Field(max_length=256, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
#: Attributes without which an event is none.
_NEEDED = ("id", "source", "type", "time", "subject", "data")
_DATE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")


class Event(BaseModel):
    """One thing that happened.

    Attributes:
        id: with `source` it names the event; publishing it again changes nothing, and other content is refused.
        source: who says so, e.g. `/payments`.
        type: e.g. `payment`, `payment.labelled`.
        time: when it happened, UTC.
        subject: whom it is about; events of one subject are delivered in the order in which they were published.
        data: what happened; checked by its consumers, not by the queue.
        traceparent: the span that published it, as W3C writes it; "" if none, or if the producer gives no such value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: _Text = Field(min_length=1)
    source: _Text = Field(min_length=1)
    type: _Text = Field(min_length=1)
    time: AwareDatetime
    subject: _Text
    data: dict[str, Any]
    traceparent: str = ""

    @field_validator("traceparent", mode="before")
    @classmethod
    def _is_traceparent(cls, value: object) -> str:
        """Return no trace for a value that names none: the event itself is as good."""
        return value if isinstance(value, str) and _TRACEPARENT.fullmatch(value) else ""

    @field_validator("time", mode="before")
    @classmethod
    def _is_a_date(cls, value: object) -> object:
        """Return a number would be taken for seconds or for milliseconds, whichever looks better."""
        if isinstance(value, datetime) or (isinstance(value, str) and _DATE.match(value)):
            return value
        raise ValueError("input should be a timestamp as in RFC 3339, such as 2018-07-25T12:00:00Z")

    @field_validator("time")
    @classmethod
    def _in_utc(cls, value: datetime) -> datetime:
        try:
            return value.astimezone(UTC)
        except OverflowError:
            raise ValueError("input should lie in the years 1 to 9999, UTC") from None

    @model_validator(mode="after")
    def _can_be_sent(self) -> "Event":
        try:
            text = self.to_json()
            size = len(text.encode())
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"input should be JSON: {error}") from None
        if size > MAX_EVENT_BYTES:
            raise ValueError(f"input should have at most {MAX_EVENT_BYTES} bytes of JSON, not {size}")
        if text.count("[") + text.count("{") > _MAX_NESTING < _nesting(self.data):
            raise ValueError(f"input should be nested at most {_MAX_NESTING} deep")
        return self

    def digest(self) -> str:
        """SHA-256 (hex) of type, time, subject and data, whatever the order of the keys in `data`."""
        content = [self.type, self.time.isoformat(), self.subject, self.data]
        return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()

    def to_json(self) -> str:
        """One line of JSON, the attributes in this order, `specversion` first."""
        time = self.time.isoformat().replace("+00:00", "Z")
        named = {"id": self.id, "source": self.source, "type": self.type, "time": time, "subject": self.subject}
        named |= {"traceparent": self.traceparent} if self.traceparent else {}
        return json.dumps({"specversion": "1.0", **named, "data": self.data}, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, line: str | bytes) -> "Event":
        """Return the event of such a line; other CloudEvents attributes (`datacontenttype`, ...) are left out.

        Raises:
            TesseraError: no JSON object, an attribute missing or wrong, or larger than `MAX_EVENT_BYTES`.
        """
        if len(line) > MAX_EVENT_BYTES:
            raise _malformed(f"has more than {MAX_EVENT_BYTES} bytes", "something smaller")
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _malformed(f"is no JSON object: {error}", "one JSON object per event") from None
        if not isinstance(found, dict):
            raise _malformed(f"is no JSON object but {reprlib.repr(found):.40}", "one JSON object per event")
        if (version := found.get("specversion", "1.0")) != "1.0":
            raise _malformed(f"has a wrong `specversion`: {reprlib.repr(version):.40}", "CloudEvents 1.0")
        try:
            return cls(**{name: found[name] for name in cls.model_fields if name in found})
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "data"
            raise _malformed(f"has a wrong `{place}`: {clause(first['msg'])}", "a CloudEvent") from None


def _nesting(data: Any) -> int:
    depth, level = 0, [data]
    while level:
        depth += 1
        inner = (one for outer in level for one in (outer.values() if isinstance(outer, dict) else outer))
        level = [one for one in inner if isinstance(one, dict | list | tuple)]
    return depth


def _malformed(what: str, expected: str) -> TesseraError:
    names = ", ".join(_NEEDED)
    return TesseraError(f"An event {what}.", expected=f"{expected} with {names}", todo="Correct the producer.")
