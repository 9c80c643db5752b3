"""A Qdrant server on this machine, as far as HTTP goes: the paths of its REST API over the client's own memory.

Every body is checked, strictly and without unknown fields, by the models Qdrant generates from its OpenAPI
(`qdrant_client.http.models`); a path or a body that the interface does not have is answered with 404 or 400.
"""

import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import BaseModel, TypeAdapter, ValidationError
from qdrant_client import QdrantClient
from qdrant_client import models as m
from qdrant_client.http import models as published

from tests.servers.http_thread import served
from tests.servers.model_stub import Fault

#: Query parameters that the interface has for the paths below.
_PARAMETERS = {"wait", "ordering", "timeout", "consistency"}


@dataclass(frozen=True)
class Route:
    """A path of the interface: its method, the type of its body, and the call that answers it."""

    method: str
    path: str
    body: Any
    answer: Callable[..., Any]

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """Return the values in the path, if it is this one."""
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path)
        found = re.fullmatch(pattern, path)
        return (
            {name: unquote(value) for name, value in found.groupdict().items()}
            if found and method == self.method
            else None
        )


def _upsert(client: QdrantClient, asked: Any, name: str) -> Any:
    assert isinstance(asked, published.PointsList)
    return client.upsert(name, asked.points, update_mode=asked.update_mode, update_filter=asked.update_filter)


def _create(client: QdrantClient, asked: Any, name: str) -> bool:
    return client.create_collection(
        name, vectors_config=asked.vectors, sparse_vectors_config=asked.sparse_vectors, hnsw_config=asked.hnsw_config,
        optimizers_config=asked.optimizers_config,
    )  # fmt: skip


def _scroll(client: QdrantClient, asked: Any, name: str) -> m.ScrollResult:
    points, offset = client.scroll(
        name, scroll_filter=asked.filter, limit=asked.limit, offset=asked.offset, with_payload=asked.with_payload,
        with_vectors=asked.with_vector or False,
    )  # fmt: skip
    return published.ScrollResult(points=[*points], next_page_offset=cast("Any", offset))


def _searched(client: QdrantClient, asked: Any, name: str) -> Any:
    """The memory searches exactly, and warns of parameters of an approximate search."""
    return client.query_batch_points(name, [one.model_copy(update={"params": None}) for one in asked.searches])


def _indexed(client: QdrantClient, asked: Any, name: str) -> Any:
    """The memory has no payload indexes, and warns of them; the collection and the field's type must be right."""
    client.get_collection(name)
    assert asked.field_schema is not None
    return published.UpdateResult(operation_id=0, status=published.UpdateStatus.COMPLETED)


def _retrieve(client: QdrantClient, asked: Any, name: str) -> Any:
    return client.retrieve(name, asked.ids, with_payload=asked.with_payload, with_vectors=asked.with_vector or False)


ROUTES = (
    Route("GET", "/collections/{name}/exists", None, lambda c, _, name: {"exists": c.collection_exists(name)}),
    Route("GET", "/collections/{name}", None, lambda c, _, name: c.get_collection(name)),
    Route("PUT", "/collections/{name}", published.CreateCollection, _create),
    Route("DELETE", "/collections/{name}", None, lambda c, _, name: c.delete_collection(name)),
    Route(
        "PUT", "/collections/{name}/index", published.CreateFieldIndex,
        _indexed
    ),
    Route("PUT", "/collections/{name}/points", published.PointInsertOperations, _upsert),
    Route("POST", "/collections/{name}/points", published.PointRequest, _retrieve),
    Route(
        "POST", "/collections/{name}/points/delete", published.PointsSelector,
        lambda c, asked, name: c.delete(name, points_selector=asked),
    ),
    Route(
        "POST", "/collections/{name}/points/payload", published.SetPayload,
        lambda c, asked, name: c.set_payload(name, asked.payload, points=asked.points),
    ),
    Route("POST", "/collections/{name}/points/scroll", published.ScrollRequest, _scroll),
    Route(
        "POST", "/collections/{name}/points/count", published.CountRequest,
        lambda c, asked, name: c.count(name, count_filter=asked.filter, exact=bool(asked.exact)),
    ),
    Route(
        "POST", "/collections/{name}/points/query/batch", published.QueryRequestBatch,
        _searched
    ),
    Route("GET", "/aliases", None, lambda c, _: c.get_aliases()),
    Route(
        "POST", "/collections/aliases", published.ChangeAliasesOperation,
        lambda c, asked: c.update_collection_aliases(asked.actions),
    ),
)  # fmt: skip


@dataclass
class QdrantStub:
    """Paths that were asked for, faults that are given first, and refusals of requests that break the interface."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    faults: deque[Fault] = field(default_factory=deque)
    #: A fault is given to the first request of this method and path only; "" to any.
    faulty: str = ""
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._client = QdrantClient(":memory:")
        self._turn = threading.Lock()  # the memory is not safe for threads

    def empty(self) -> None:
        """Forget every collection, fault and request."""
        with self._turn:
            self._client = QdrantClient(":memory:")
        self.asked, self.faults, self.faulty = [], deque(), ""

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any]:
        """Return the status and the result of a request."""
        parts = urlsplit(target)
        for route in ROUTES:
            named = route.match(method, parts.path)
            if named is not None:
                return self._result(route, named, body, set(parse_qs(parts.query)))
        return self._no(404, f"{method} {parts.path} is not in the interface")

    def fault_of(self, method: str, target: str) -> Fault | None:
        """Return the fault that this request is given."""
        path = f"{method} {urlsplit(target).path}"
        return self.faults.popleft() if self.faults and re.search(self.faulty, path) else None

    def _result(self, route: Route, named: dict[str, str], body: bytes, parameters: set[str]) -> tuple[int, Any]:
        if parameters - _PARAMETERS:
            return self._no(400, f"unknown parameters {sorted(parameters - _PARAMETERS)}")
        try:
            asked = TypeAdapter(route.body).validate_json(body, strict=True) if route.body is not None else None
        except ValidationError as error:
            return self._no(400, str(error))
        if route.body is None and body:
            return self._no(400, f"{route.method} {route.path} takes no body")
        try:
            with self._turn:
                return 200, route.answer(self._client, asked, **named)
        except ValueError as error:  # as the memory says that a collection is not there
            return 404, str(error)

    def _no(self, status: int, says: str) -> tuple[int, str]:
        self.refused.append(says)
        return status, says


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    return [_plain(one) for one in value] if isinstance(value, list) else value


@contextmanager
def qdrant_stub() -> Iterator[QdrantStub]:
    """Run the server on a free port of this machine."""
    stub = QdrantStub()

    class Handler(BaseHTTPRequestHandler):
        wbufsize = -1
        disable_nagle_algorithm = True
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            stub.asked.append(f"{self.command} {self.path}")
            fault = stub.fault_of(self.command, self.path)
            status, result = (fault.status, "as told") if fault else stub.answer(self.command, self.path, body)
            says = {"result": _plain(result), "status": "ok"} if status == 200 else {"status": {"error": result}}
            content = json.dumps({**says, "time": 0.0}).encode()
            self._reply(status, fault.body if fault and fault.body is not None else content, fault or Fault())

        do_GET = do_PUT = do_POST = do_DELETE = _serve

        def _reply(self, status: int, content: bytes, fault: Fault) -> None:
            self.send_response(status)
            for name, value in fault.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            ends = time.monotonic() + fault.seconds
            try:
                while content and time.monotonic() < ends:
                    self.wfile.write(content[:1])
                    self.wfile.flush()
                    content = content[1:]
                    time.sleep(0.05)
                self.wfile.write(content)
            except OSError:
                return

        def log_message(self, format: str, *_: Any) -> None:
            return

    with served(Handler) as stub.url:
        yield stub
