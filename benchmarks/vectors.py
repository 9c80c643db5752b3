"""Vector indexes: ingest, recall@10 and CPU per query of each adapter, beside exact search in numpy.

Vectors are a seeded mixture of 400 clusters in 48 dimensions, embedded in 384, at length 1: an easy set, so that recall
does not rank adapters. A query is asked alone, 100 of them in turn; CPU is that of the process, best of three rounds.
The last two columns compare with the vendor's client without the port. A query goes to the same open shard through
both, one right after the other and in turns first; each of the 100 has its least time of up to thirty rounds, and the
interval is over queries. Rows go through the vendor's client as points from the same arrays into a shard with the same
settings. Postgres has processes of its own: its CPU is that of the server and of this process. Searches are measured
apart, in several calls (`--rows 100000 --searches edge-hnsw`); *load* is the load average at the end of each. *Without
turns*: both ways were measured one after the other, before they took turns.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import qdrant_edge as edge
from numpy.typing import NDArray

from benchmarks.report import replace_section
from models.vectors.exact import nearest, normalised, recall
from models.vectors.spec import IndexSpec, VectorSpace
from resources.vectors.edge_shard import EdgeSearcher
from resources.vectors.pgvector import PgVectorConfig
from resources.vectors.port import VectorIndex, Vectors
from resources.vectors.qdrant import QdrantConfig
from resources.vectors.qdrant_edge import QdrantEdgeConfig

DIMENSION, QUERIES, ROUNDS, K = 384, 100, 3, 10
#: Up to so many rows, building is compared with the vendor's client, which takes as long again.
FED = 20_000
#: Port and vendor's client are compared for so long, at most thirty rounds and at least three.
SECONDS = 60.0
#: What earlier calls measured: sizes and searches may be measured apart.
RESULTS = Path(__file__).resolve().parent / "results" / "vectors.json"
Rows = NDArray[np.float32]
Exact = Sequence[Sequence[str]]
SPACE = VectorSpace(embedder="mixture", digest="7", dimension=DIMENSION, metric="cosine")
SPEC = IndexSpec(space=SPACE, payload={"category": "integer"}, tokenizer="")


def main() -> None:
    """Measure what was asked for, keep it beside what earlier calls measured, and write the section."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, nargs="+", default=[20_000, 100_000])
    arguments.add_argument("--searches", nargs="+", choices=SEARCHES, default=list(SEARCHES), help="only these")
    options = arguments.parse_args()
    for count in options.rows:
        vectors = mixture(count + QUERIES)
        rows, queries = vectors[:count], vectors[count:]
        exact = [[f"{at:07d}" for at in line] for line in nearest(queries, rows, "cosine", K)[0]]
        for name in options.searches:
            if cells := SEARCHES[name](rows, queries, exact):
                print(f"| {count:,} {cells}", flush=True)
                # A run that is ended at the next search leaves this one.
                _write(_keep(f"{count} {name}", f"{cells} {os.getloadavg()[0]:.1f} |"))


def _keep(name: str, cells: str) -> dict[str, str]:
    """Return the cells of all measurements by `<rows> <search>`, after these replaced earlier ones of the name."""
    known: dict[str, str] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    known[name] = cells
    RESULTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    return known


def _write(known: dict[str, str]) -> None:
    """Write the section of docs/benchmarks.md."""
    body = ["## Vector indexes", "", (__doc__ or "").partition("\n\n")[2].strip(), ""]
    body += ["| rows | search | rows/s built | recall@10 | CPU ms/query | over the vendor's client | built | load |"]
    body += ["|---:|---|---:|---:|---:|---:|---:|---:|"]
    named = sorted((int(name.split()[0]), list(SEARCHES).index(name.split()[1]), name) for name in known)
    body += [f"| {count:,} {known[name]}" for count, _, name in named]
    replace_section("vectors", "\n".join(body), libraries=["qdrant-edge-py", "qdrant-client", "psycopg", "numpy"])


def in_numpy(rows: Rows, queries: Rows, _: Exact) -> str:
    """Return the cells of exact search in numpy."""
    seconds = cpu_per_query(lambda query: nearest(query, rows, "dot", K), queries)
    return f"| numpy, exact | | 1.000 | {1000 * seconds:.2f} | | |"


def in_edge(rows: Rows, queries: Rows, exact: Exact, *, title: str, from_rows: int) -> str:
    """Return the cells of the embedded adapter, beside the vendor's client."""
    with tempfile.TemporaryDirectory() as home:
        config = QdrantEdgeConfig(path=f"{home}/port", index_from_rows=from_rows)
        index, rate = built(config.open(), rows)
        port, over = compared(index, queries, config.hnsw_ef)
        fed = f"{fed_directly(f'{home}/fed', rows, config) / rate - 1:+.1%}" if len(rows) <= FED else ""
        return line(title, rate, found_by(index, queries, exact), port, f"{over} | {fed}")


def in_memory(rows: Rows, queries: Rows, exact: Exact) -> str:
    """Return the cells of the server's adapter on `:memory:`; none of many rows, for which it is not made."""
    if len(rows) > 20_000:
        return ""
    index, rate = built(QdrantConfig(url=":memory:").open(), rows)
    port = cpu_per_query(lambda query: index.search(query, SPACE, k=K), queries[:20])
    return line("`qdrant`, `:memory:`", rate, found_by(index, queries[:20], exact[:20]), port, "")


def in_postgres(rows: Rows, queries: Rows, exact: Exact, *, title: str, from_rows: int) -> str:
    """Return the cells of pgvector, on a server of the tests' package."""
    from tests.servers.postgres_server import serving, with_pgvector

    with serving(with_pgvector()) as server:
        clock = server_clock(server.url)
        config = PgVectorConfig(url=server.url, schema_name=f"v{from_rows}", index_from_rows=from_rows)
        index, rate = built(config.open(), rows, clock)
        seconds = cpu_per_query(lambda query: index.search(query, SPACE, k=K), queries, 3, clock)
        return line(title, rate, found_by(index, queries, exact), seconds, "")


#: Searches by name, in the order of the table.
SEARCHES: dict[str, Callable[[Rows, Rows, Exact], str]] = {
    "numpy": in_numpy,
    "edge-exact": partial(in_edge, title="`qdrant_edge`, exact", from_rows=0),
    "edge-hnsw": partial(in_edge, title="`qdrant_edge`, HNSW", from_rows=1000),
    "memory": in_memory,
    "pgvector-exact": partial(in_postgres, title="`pgvector`, exact", from_rows=0),
    "pgvector-hnsw": partial(in_postgres, title="`pgvector`, HNSW", from_rows=1000),
}


def server_clock(url: str) -> Callable[[], float]:
    """Return a clock of the CPU seconds of this process and of a Postgres server with all that it started."""
    import psycopg

    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        assert row is not None
        server = int(_stat(row[0])[1])  # while its child is there
    ticks = os.sysconf("SC_CLK_TCK")

    def clock() -> float:
        used = sum(int(one) for one in _stat(server)[13:15])  # of children that ended
        for folder in Path("/proc").glob("[0-9]*"):
            found = _stat(int(folder.name))
            if found and int(found[1]) == server:
                used += int(found[11]) + int(found[12])
        return time.process_time() + used / ticks

    return clock


def _stat(pid: int) -> list[str]:
    """Return the fields of a process from its state on; none if it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def line(title: str, rate: float, found: float, seconds: float, over: str) -> str:
    """Return the cells of a search."""
    return f"| {title} | {rate:,.0f} | {found:.3f} | {1000 * seconds:.2f} | {over or ' | '} |"


def mixture(count: int) -> NDArray[np.float32]:
    """Return vectors around 400 centres, at length 1."""
    draw = np.random.default_rng(7)
    centres = draw.normal(size=(400, 48))[draw.integers(0, 400, count)]
    spread = centres + 0.5 * draw.normal(size=(count, 48))
    return normalised((spread @ draw.normal(size=(48, DIMENSION))).astype(np.float32))


def built(
    store: Vectors, vectors: NDArray[np.float32], clock: Callable[[], float] = time.process_time
) -> tuple[VectorIndex, float]:
    """Return a sealed index with these vectors, and rows per CPU second of building it."""
    started, number = clock(), store.begin("bench", SPEC)
    for start in range(0, len(vectors), 5_000):
        part = vectors[start : start + 5_000]
        ids = [f"{at:07d}" for at in range(start, start + len(part))]
        column = pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), DIMENSION)
        store.upsert(
            "bench", number, pa.table({"id": ids, "vector": column, "category": [at % 20 for at in range(len(part))]})
        )
    store.seal("bench", number)
    return store.open("bench", number), len(vectors) / (clock() - started)


def fed_directly(folder: str, vectors: NDArray[np.float32], config: QdrantEdgeConfig) -> float:
    """Return rows per CPU second of the vendor's client, into a shard as the port builds it."""
    started, has_graph = time.process_time(), 0 < config.index_from_rows <= len(vectors)
    hnsw = edge.HnswIndexConfig(config.hnsw_m, config.hnsw_ef_construct, 1, config.threads)
    shard = edge.EdgeShard.create(
        folder,
        edge.EdgeConfig(
            vectors={"dense": edge.EdgeVectorParams(DIMENSION, edge.Distance.Cosine, hnsw_config=hnsw)},
            optimizers=edge.EdgeOptimizersConfig(
                indexing_threshold=1 if has_graph else 2**40, default_segment_number=1
            ),
            max_search_threads=config.threads,
            wal_enabled=False,
        ),
    )
    shard.update(edge.UpdateOperation.create_field_index("category", edge.PayloadSchemaType.Integer))
    for start in range(0, len(vectors), 1000):
        part = enumerate(vectors[start : start + 1000].tolist(), start)
        points = [edge.Point(at, {"dense": one}, {"id": f"{at:07d}", "category": at % 20}) for at, one in part]
        shard.update(edge.UpdateOperation.upsert_points(points))
    shard.optimize()
    shard.flush()
    shard.close()
    return len(vectors) / (time.process_time() - started)


def compared(index: VectorIndex, queries: NDArray[np.float32], ef: int) -> tuple[float, str]:
    """Return CPU seconds per query through the port, and the share of it over the vendor's client with its interval."""
    searcher = vars(index)["_searcher"]
    assert isinstance(searcher, EdgeSearcher)
    shard = searcher.current().shard

    def vendor(query: NDArray[np.float32]) -> object:
        params = edge.SearchParams(hnsw_ef=ef, exact=False)
        nearest_to = edge.Query.Nearest(query[0].tolist(), "dense")
        found = shard.query(edge.QueryRequest(K, query=nearest_to, params=params, with_payload=True))
        return [(point.id, point.score, point.payload) for point in found]

    ways = (lambda query: index.search(query, SPACE, k=K)), vendor
    rounds, began = list[NDArray[np.float64]](), time.monotonic()
    while len(rounds) < ROUNDS or (len(rounds) < 10 * ROUNDS and time.monotonic() - began < SECONDS):
        taken = np.zeros((len(queries), 2))
        for at in range(len(queries)):
            for way in (0, 1) if (at + len(rounds)) % 2 else (1, 0):
                started = time.process_time()
                ways[way](queries[at : at + 1])
                taken[at, way] = time.process_time() - started
        rounds.append(taken)
    least = np.min(rounds, axis=0)
    draws = np.random.default_rng(7).integers(0, len(queries), (2000, len(queries)))
    drawn = least[draws].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1] - 1, [0.025, 0.975])
    port, own = least.mean(axis=0)
    return float(port), f"{port / own - 1:+.1%} ({low:+.1%} .. {high:+.1%})"


def cpu_per_query(
    search: Callable[[NDArray[np.float32]], object],
    queries: NDArray[np.float32],
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.process_time,
) -> float:
    """Return CPU seconds per query, asked one by one; the best round."""
    found: list[float] = []
    for _ in range(rounds):
        started = clock()
        for at in range(len(queries)):
            search(queries[at : at + 1])
        found.append((clock() - started) / len(queries))
    return min(found)


def found_by(index: VectorIndex, queries: NDArray[np.float32], exact: Sequence[Sequence[str]]) -> float:
    """Return the mean recall of approximate search."""
    hits = [[hit.id for hit in some] for some in index.search(queries, SPACE, k=K)]
    return float(np.mean(recall(hits, exact)))


if __name__ == "__main__":
    main()
