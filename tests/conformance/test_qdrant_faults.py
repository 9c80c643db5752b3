"""A Qdrant server that fails: one sentence, nothing lost, no endless wait."""

import time
from collections.abc import Iterator

import numpy as np
import pytest

from models.errors import TesseraError
from resources.conformance.vectors import begun, built, ids, made, space
from resources.vectors.port import Vectors
from resources.vectors.qdrant import QdrantConfig
from tests.servers.model_stub import Fault
from tests.servers.qdrant_stub import QdrantStub, qdrant_stub

FAULTS = {
    "a limit of requests": (Fault(429, headers={"Retry-After": "3"}), "as told"),
    "a limit without a time": (Fault(429), r"429 \(Too Many Requests\)"),
    "an error of the server": (Fault(500), r"500 \(Internal Server Error\)"),
    "garbage": (Fault(200, b"<html>it works</html>"), "does not answer as it should"),
    "another answer": (Fault(200, b'{"result": {"points": 3}, "status": "ok"}'), "does not answer as it should"),
    "a stream that never ends": (Fault(200, b" " * 4_000, seconds=60.0), "not whole after 2 s"),
}


@pytest.fixture(scope="module")
def running() -> Iterator[QdrantStub]:
    with qdrant_stub() as stub:
        yield stub
    assert stub.refused == []


@pytest.fixture
def server(running: QdrantStub) -> QdrantStub:
    running.empty()
    return running


def opened(server: QdrantStub, seconds: int) -> Vectors:
    return QdrantConfig(url=server.url, timeout_seconds=seconds).open()


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence_and_the_version_that_serves_goes_on(fault: str, server: QdrantStub) -> None:
    given, says = FAULTS[fault]
    rows, store = made(20), opened(server, 30)
    failing = opened(server, 2) if given.seconds else store
    built(store, rows)
    index = failing.open("articles")
    vectors = np.array(rows["vector"].to_pylist()[:2], dtype=np.float32)
    before = ids(index.search(vectors, space(), k=3))
    for path in ("PUT .*/points", "POST .*/query/batch"):
        server.faulty = path
        server.faults.append(given)
        began = time.monotonic()
        with pytest.raises(TesseraError, match=says) as raised:
            begun(failing, rows) if path.startswith("PUT") else index.search(vectors, space(), k=3)
        assert time.monotonic() - began < 20
        assert "\n" not in str(raised.value)
        assert not server.faults
    assert ids(store.open("articles").search(vectors, space(), k=3)) == before
    assert built(store, rows).version.number > index.version.number


def test_a_server_that_is_gone_is_one_sentence(server: QdrantStub) -> None:
    gone = QdrantConfig(url="http://127.0.0.1:9", timeout_seconds=1).open()
    with pytest.raises(TesseraError, match=r"Qdrant at http://127.0.0.1:9 does not answer as it should: .*refused"):
        gone.versions("articles")
    assert not gone.check().ok


def test_the_server_is_asked_for_what_its_memory_ignores(server: QdrantStub) -> None:
    built(opened(server, 30), made(20))
    asked = [one.partition("?")[0] for one in server.asked]
    assert asked.count("PUT /collections/tessera_articles_1/index") >= 3
    assert "POST /collections/aliases" in asked
