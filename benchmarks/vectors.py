"""Vector indexes: ingest, recall@10 and CPU per query of each adapter, beside exact search in numpy.

Vectors are a seeded mixture of 400 clusters in 48 dimensions, embedded in 384, at length 1: an easy set, so that recall
does not rank adapters. A query is asked alone, 100 of them in turn; CPU is that of the process, best of three rounds.
The vendor's row asks the same shard with the same requests and payload, without the port.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import qdrant_edge as edge
from numpy.typing import NDArray

from benchmarks.report import replace_section
from models.vectors.exact import nearest, normalised, recall
from models.vectors.spec import IndexSpec, VectorSpace
from resources.vectors.edge_files import VersionFolder
from resources.vectors.port import VectorIndex, Vectors
from resources.vectors.qdrant import QdrantConfig
from resources.vectors.qdrant_edge import QdrantEdgeConfig

DIMENSION, QUERIES, ROUNDS, K = 384, 100, 3, 10
SPACE = VectorSpace(embedder="mixture", digest="7", dimension=DIMENSION, metric="cosine")
SPEC = IndexSpec(space=SPACE, payload={"category": "integer"}, tokenizer="")


def main() -> None:
    """Measure, and write the section of docs/benchmarks.md."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, nargs="+", default=[20_000, 100_000])
    body = ["## Vector indexes", "", __doc__.partition("\n\n")[2].strip(), ""]
    body += ["| rows | search | rows/s built | recall@10 | CPU ms/query | over the vendor's client |"]
    body += ["|---:|---|---:|---:|---:|---:|"]
    for count in arguments.parse_args().rows:
        for line in measured(count):
            print(line, flush=True)
            body.append(line)
    replace_section("vectors", "\n".join(body), libraries=["qdrant-edge-py", "qdrant-client", "numpy"])


def measured(count: int) -> Sequence[str]:
    """Return the lines of the table for this many rows."""
    vectors = mixture(count + QUERIES)
    rows, queries = vectors[:count], vectors[count:]
    exact = [[f"{at:07d}" for at in line] for line in nearest(queries, rows, "cosine", K)[0]]
    seconds = cpu_per_query(lambda query: nearest(query, rows, "dot", K), queries)
    lines = [f"| {count:,} | numpy, exact | | 1.000 | {1000 * seconds:.2f} | |"]
    with tempfile.TemporaryDirectory() as home:
        for title, config in (
            ("`qdrant_edge`, exact", QdrantEdgeConfig(path=f"{home}/exact", index_from_rows=0)),
            ("`qdrant_edge`, HNSW", QdrantEdgeConfig(path=f"{home}/graph", index_from_rows=1000)),
        ):
            index, rate = built(config.open(), rows)
            shard = edge.EdgeShard.load(str(shard_of(config.path)))
            port, vendor = compared(index, shard, queries, config.hnsw_ef)
            lines.append(line(count, title, rate, found_by(index, queries, exact), port, f"{port / vendor - 1:+.1%}"))
        if count <= 20_000:
            index, rate = built(QdrantConfig(url=":memory:").open(), rows)
            port = cpu_per_query(lambda query: index.search(query, SPACE, k=K), queries[:20])
            lines.append(line(count, "`qdrant`, `:memory:`", rate, found_by(index, queries[:20], exact[:20]), port, ""))
    return lines


def line(count: int, title: str, rate: float, found: float, seconds: float, over: str) -> str:
    """Return a line of the table."""
    return f"| {count:,} | {title} | {rate:,.0f} | {found:.3f} | {1000 * seconds:.2f} | {over} |"


def mixture(count: int) -> NDArray[np.float32]:
    """Return vectors around 400 centres, at length 1."""
    draw = np.random.default_rng(7)
    centres = draw.normal(size=(400, 48))[draw.integers(0, 400, count)]
    spread = centres + 0.5 * draw.normal(size=(count, 48))
    return normalised((spread @ draw.normal(size=(48, DIMENSION))).astype(np.float32))


def built(store: Vectors, vectors: NDArray[np.float32]) -> tuple[VectorIndex, float]:
    """Return a sealed index with these vectors, and rows per CPU second of building it."""
    started, number = time.process_time(), store.begin("bench", SPEC)
    for start in range(0, len(vectors), 5_000):
        part = vectors[start : start + 5_000]
        ids = [f"{at:07d}" for at in range(start, start + len(part))]
        column = pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), DIMENSION)
        store.upsert(
            "bench", number, pa.table({"id": ids, "vector": column, "category": [at % 20 for at in range(len(part))]})
        )
    store.seal("bench", number)
    return store.open("bench", number), len(vectors) / (time.process_time() - started)


def shard_of(path: str) -> Path:
    """Return the folder of the shard that was built."""
    folder = VersionFolder(Path(path) / "bench" / "1")
    return folder.shard(folder.read())


def compared(index: VectorIndex, shard: edge.EdgeShard, queries: NDArray[np.float32], ef: int) -> tuple[float, float]:
    """Return CPU seconds per query through the port and through the vendor's client, in turns."""

    def vendor(query: NDArray[np.float32]) -> object:
        params = edge.SearchParams(hnsw_ef=ef, exact=False)
        nearest_to = edge.Query.Nearest(query[0].tolist(), "dense")
        found = shard.query(edge.QueryRequest(K, query=nearest_to, params=params, with_payload=True))
        return [(point.id, point.score, point.payload) for point in found]

    pairs = [
        (cpu_per_query(lambda query: index.search(query, SPACE, k=K), queries, 1), cpu_per_query(vendor, queries, 1))
        for _ in range(10 * ROUNDS)
    ]
    return min(port for port, _ in pairs), min(own for _, own in pairs)


def cpu_per_query(
    search: Callable[[NDArray[np.float32]], object], queries: NDArray[np.float32], rounds: int = ROUNDS
) -> float:
    """Return CPU seconds per query, asked one by one; the best round."""
    found: list[float] = []
    for _ in range(rounds):
        started = time.process_time()
        for at in range(len(queries)):
            search(queries[at : at + 1])
        found.append((time.process_time() - started) / len(queries))
    return min(found)


def found_by(index: VectorIndex, queries: NDArray[np.float32], exact: Sequence[Sequence[str]]) -> float:
    """Return the mean recall of approximate search."""
    hits = [[hit.id for hit in some] for some in index.search(queries, SPACE, k=K)]
    return float(np.mean(recall(hits, exact)))


if __name__ == "__main__":
    main()
