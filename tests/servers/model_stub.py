"""A service of models on this machine: checks requests by the SDKs' published types, and answers or fails as told."""

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from pydantic import TypeAdapter

from models.text.embedder import Embeddings
from models.text.hashed import HashedEmbedder
from tests.servers.http_thread import served

DIMENSION = 32


@dataclass
class Fault:
    """An answer that is none: a status, raw bytes, or so many seconds of a slow stream."""

    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass
class ModelStub:
    """Requests that came, faults that are given first, and texts that are answered."""

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    faults: deque[Fault] = field(default_factory=deque)
    answers: deque[str] = field(default_factory=deque)
    #: Changes the vectors of the embedder, as other weights do.
    embedded: Callable[[Embeddings], Embeddings] = lambda vectors: vectors

    def answer(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Return the body of a good answer."""
        if path.endswith("/embeddings"):
            _check("openai.types.embedding_create_params", "EmbeddingCreateParams", asked)
            vectors = self.embedded(HashedEmbedder(DIMENSION).embed(asked["input"])) * 3
            data = [{"object": "embedding", "index": n, "embedding": one.tolist()} for n, one in enumerate(vectors)]
            usage = {"prompt_tokens": 7 * len(data), "total_tokens": 7 * len(data)}
            return {"object": "list", "model": asked["model"], "data": data[::-1], "usage": usage}
        if path.endswith("/chat/completions"):
            name = "CompletionCreateParamsNonStreaming"
            _check("openai.types.chat.completion_create_params", name, asked)
            text = self._text(asked, is_json="response_format" in asked)
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
            base = {"id": "c", "object": "chat.completion", "created": 1, "model": asked["model"]}
            return {**base, "choices": [choice], "usage": usage}
        _check("anthropic.types.message_create_params", "MessageCreateParamsNonStreaming", asked)
        text = self._text(asked, is_json="tools" in asked)
        part = {"type": "text", "text": text}
        if "tools" in asked:
            part = {"type": "tool_use", "id": "t", "name": asked["tool_choice"]["name"], "input": json.loads(text)}
        usage = {"input_tokens": 100, "output_tokens": 20}
        base = {"id": "m", "type": "message", "role": "assistant", "model": asked["model"], "stop_reason": "end_turn"}
        return {**base, "stop_sequence": None, "content": [part], "usage": usage}

    def _text(self, asked: dict[str, Any], *, is_json: bool) -> str:
        if self.answers:
            return self.answers.popleft()
        return '{"intent": "refund"}' if is_json else f"Answer to: {asked['messages'][-1]['content'][-60:]}"


def _check(module: str, name: str, asked: dict[str, Any]) -> None:
    """Fail unless the request has the published type, and no key that the type does not have."""
    import importlib

    published = getattr(importlib.import_module(module), name)
    TypeAdapter(published).validate_python(asked)
    unknown = asked.keys() - published.__annotations__.keys() - _base_keys(published)
    assert not unknown, f"keys that the interface does not have: {sorted(unknown)}"


def _base_keys(published: Any) -> set[str]:
    return set(getattr(published, "__required_keys__", ())) | set(getattr(published, "__optional_keys__", ()))


@contextmanager
def model_stub() -> Iterator[ModelStub]:
    """Run the service on a free port."""
    stub = ModelStub()

    class Handler(BaseHTTPRequestHandler):
        # Without both, each answer waits 40 ms for an acknowledgement.
        wbufsize = -1
        disable_nagle_algorithm = True
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            stub.requests.append(asked)
            stub.headers.append(dict(self.headers))
            fault = stub.faults.popleft() if stub.faults else None
            try:
                body = json.dumps(stub.answer(self.path, asked)).encode()
            except Exception as error:  # noqa: BLE001 - the test sees the reason in what the client says
                fault, body = Fault(status=422), f"{type(error).__name__}: {error}".encode()
                stub.headers[-1]["problem"] = body.decode()
            self._reply(body, fault)

        def _reply(self, body: bytes, fault: Fault | None) -> None:
            content = fault.body if fault and fault.body is not None else body
            self.send_response(fault.status if fault else 200)
            for name, value in (fault.headers if fault else {}).items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if fault and fault.seconds:
                self._drip(content, fault.seconds)
            else:
                self.wfile.write(content)

        def _drip(self, content: bytes, seconds: float) -> None:
            ends = time.monotonic() + seconds
            try:
                while content and time.monotonic() < ends:
                    self.wfile.write(content[:1])
                    self.wfile.flush()
                    content = content[1:]
                    time.sleep(0.02)
            except OSError:
                return

        def log_message(self, *_: Any) -> None:
            return

    with served(Handler) as stub.url:
        yield stub
