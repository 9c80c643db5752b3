"""What an event is: CloudEvents 1.0 names (github.com/cloudevents/spec), one JSON object as data."""

import json
from datetime import UTC, datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from models.errors import TesseraError

#: Larger events are refused when they are published: a queue is no file store.
MAX_EVENT_BYTES = 65_536


class Event(BaseModel):
    """One thing that happened.

    Attributes:
        id: with `source` it names the event; publishing it again changes nothing.
        source: who says so, e.g. `/payments`.
        type: e.g. `payment`, `payment.labelled`.
        time: when it happened, UTC.
        subject: whom it is about; events of one subject are delivered in the order in which they were published.
        data: what happened; checked by whoever consumes it, not by the queue.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1, max_length=256)
    source: str = Field(min_length=1, max_length=256)
    type: str = Field(min_length=1, max_length=256)
    time: AwareDatetime
    subject: str = Field(max_length=256)
    data: dict[str, Any]

    @field_validator("time")
    @classmethod
    def _in_utc(cls, value: datetime) -> datetime:
        return value.astimezone(UTC)

    def to_json(self) -> str:
        """One line of JSON, the attributes in this order, `specversion` first."""
        return json.dumps({"specversion": "1.0", **self.model_dump(mode="json")}, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, line: str | bytes) -> "Event":
        """The event of such a line; other CloudEvents attributes (`datacontenttype`, ...) are left out.

        Raises:
            TesseraError: no JSON object, an attribute missing or wrong, or larger than `MAX_EVENT_BYTES`.
        """
        if len(line) > MAX_EVENT_BYTES:
            raise _malformed(f"has {len(line)} bytes", f"at most {MAX_EVENT_BYTES}")
        try:
            found = json.loads(line)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise _malformed(f"is no JSON object: {error}", "one JSON object per event") from None
        if not isinstance(found, dict):
            raise _malformed(f"is no JSON object but {found!r:.40}", "one JSON object per event")
        try:
            return cls(**{name: found[name] for name in cls.model_fields if name in found})
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise _malformed(f"has a wrong `{place}`: {first['msg'].lower()}", "a CloudEvent") from None


def _malformed(what: str, expected: str) -> TesseraError:
    names = ", ".join(Event.model_fields)
    return TesseraError(f"An event {what}.", expected=f"{expected} with {names}", todo="Correct the producer.")
