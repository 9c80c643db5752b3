"""One thing that an application does on request: what it takes, what it gives, who may ask, and how it is opened.

Records of data, like `App`: the service makes a route of each, so that nothing shared names an application.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from models.errors import TesseraError

if TYPE_CHECKING:
    from models.settings import Settings
    from resources.stack.ports import Ports


class WrongRequest(TesseraError):
    """A value of a request is wrong in a way that its model cannot see."""


class NotThere(TesseraError):
    """A request names something that does not exist."""


class Conflict(TesseraError):
    """A request contradicts what is stored."""


class NotServed(Conflict):
    """A request names a version of a model that may not answer."""


class Body(BaseModel):
    """Body of a request; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Answer(BaseModel):
    """Body of an answer; it always names the model that answered.

    Attributes:
        model_version: of the registry.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model_version: str


@dataclass(frozen=True)
class Asker:
    """The asker, and the version of the model that is asked.

    Attributes:
        name: of the holder of the key that the request brought; kept with what the request changes.
        version: of the model that is to answer; None: the champion.
    """

    name: str
    version: str | None = None


#: Answers requests of one operation, one at a time, always in the same thread; the profile's ports belong to it.
Handler = Callable[[Any, Asker], BaseModel]


@dataclass(frozen=True)
class QuickHandler:
    """A handler that can tell which requests it answers in about a millisecond, and without waiting for anything.

    The service may answer these in another thread, while the handler's own has nothing to do.

    Attributes:
        answer: answers a request.
        is_quick: True of a request that it would answer now from memory and local files alone.
        follow: looks up what it depends on, and opens what has changed, so that no request waits for that; called now
            and then, in the handler's own thread.
    """

    answer: Handler
    is_quick: Callable[[Any, Asker], bool]
    follow: Callable[[], None] = lambda: None

    def __call__(self, body: Any, asker: Asker) -> BaseModel:
        """Answer a request."""
        return self.answer(body, asker)


@dataclass(frozen=True)
class Operation:
    """A request that an application answers.

    Attributes:
        name: last part of its path, `/v1/<app>/<name>`.
        summary: one line for people.
        takes: body of the request; of a GET, its query.
        gives: body of the answer.
        example: a body that `takes` accepts.
        opened: opens what it needs and returns what answers; called once, in the thread that answers.
        role: least role of the key.
        method: GET is only for what has no effect.
        has_effect: it changes something: `Idempotency-Key` makes a repeated request safe. Its answer is stored then, so
            it names no person.
        pins: a version of the model can be asked for (`?version=`), in place of the champion.
        answered: what it could answer to the example.
        subject: fields of the body that name whom a request is about, for the log of reads.
    """

    name: str
    summary: str
    takes: type[Body]
    gives: type[BaseModel]
    example: Mapping[str, Any]
    opened: Callable[[Ports, Settings], Handler]
    role: Literal["viewer", "operator", "admin"] = "viewer"
    method: Literal["GET", "POST"] = "POST"
    has_effect: bool = False
    subject: tuple[str, ...] = ()
    pins: bool = False
    answered: Mapping[str, Any] = field(default_factory=dict[str, Any])
