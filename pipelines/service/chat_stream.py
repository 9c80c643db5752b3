"""An answer of the language model as server-sent events, as OpenAI's API streams it.

Models behind the port give their answer whole: cache, masking and budget are about whole answers. So the stream begins
at once, its pieces are the words of the answer when that is there, and an error that comes after the beginning is its
last event, a problem.
"""

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import StreamingResponse

from models.compose.deadline import remaining_ms
from models.errors import TesseraError
from pipelines.gateway.problem import Refusal, problem
from pipelines.gateway.refusals import bug, too_slow
from pipelines.service.errors import status_of
from pipelines.service.timeout import seconds_of

if TYPE_CHECKING:
    from pipelines.service.texts import ChatMade

MEDIA_TYPE = "text/event-stream"
_log = logging.getLogger("tessera.service")
_PIECE = re.compile(r"\s*\S+|\s+$")
#: The gateway cuts an answer off at its limit: the problem is sent a little before.
_MARGIN_MS = 100.0


def streamed(request: Request, answer: Awaitable["ChatMade"], model: str, *, with_usage: bool) -> StreamingResponse:
    """Return the stream of an answer that is being made, within the deadline of the request.

    Args:
        request: names its deadline.
        answer: begun by this; what it raises is the stream's last event.
        model: its name, in every event.
        with_usage: the event before the end has the tokens, as `stream_options` asks for.
    """
    request_id, whole = request.scope["tessera.request_id"], seconds_of(request, request.app.state.seconds)
    left, pending = remaining_ms(), asyncio.ensure_future(answer)
    pending.add_done_callback(lambda done: done.cancelled() or done.exception())  # one that nothing reads is no warning
    patience = whole if left is None else max(left - _MARGIN_MS, left / 2) / 1000
    events = _events(pending, {"id": f"chat-{request_id}", "created": int(time.time()), "model": model}, with_usage)
    return StreamingResponse(_within(events, pending, patience, too_slow(whole), request_id), media_type=MEDIA_TYPE)


async def _within(
    events: AsyncIterator[str], pending: "asyncio.Future[ChatMade]", patience: float, late: Refusal, request_id: str
) -> AsyncIterator[str]:
    """Yield the events; an error is the last one, in place of what would have followed."""
    try:
        async with asyncio.timeout(patience):
            async for event in events:
                yield event
    except TesseraError as error:
        yield _problem(status_of(error), error, request_id)
    except TimeoutError:
        yield _problem(late.status, late, request_id)
    except Exception:  # noqa: BLE001 - a bug of one request ends that request alone
        _log.exception("request %s failed", request_id)
        yield _problem(500, bug(request_id), request_id)
    finally:
        pending.cancel()


async def _events(pending: "asyncio.Future[ChatMade]", same: Mapping[str, Any], with_usage: bool) -> AsyncIterator[str]:
    yield _chunk(same, with_usage, {"role": "assistant", "content": ""})
    made = await pending
    for piece in _PIECE.findall(made.choices[0].message.content):
        yield _chunk(same, with_usage, {"content": piece})
    yield _chunk(same, with_usage, {}, finish_reason="stop")
    if with_usage:
        yield _event({**same, "object": "chat.completion.chunk", "choices": [], "usage": made.usage.model_dump()})
    yield "data: [DONE]\n\n"


def _chunk(
    same: Mapping[str, Any], with_usage: bool, delta: Mapping[str, str], finish_reason: str | None = None
) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    made = {**same, "object": "chat.completion.chunk", "choices": [choice]}
    return _event({**made, "usage": None} if with_usage else made)


def _problem(status: int, error: TesseraError, request_id: str) -> str:
    """Return a problem as an event; clients of OpenAI raise `message`."""
    found = {**problem(status, error, request_id), "message": str(error), "code": str(status)}
    return f"event: error\n{_event({'error': found})}"


def _event(data: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"
