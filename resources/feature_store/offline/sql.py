"""SQL text of point-in-time joins and of latest rows, for DuckDB. Pure: nothing is read or run here.

Moments are whole microseconds since 1970, UTC, as BIGINT; a finer moment is cut off, backwards in time. A join goes in
two steps: an ASOF join of keys and moments alone finds the *place* (file and row) of each match, then the places are
looked up. That carries no feature through a sort, and costs less than an ASOF join of whole rows (docs/benchmarks.md).
"""

# Names and paths are quoted below; entity rows as SQL are the user's own statement.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from models.timestamps import to_epoch_micros
from resources.feature_store.offline.tie_order import OLDEST, SHIFT, Order
from resources.feature_store.offline.time_ranges import DAY_US, Range

#: Tables of one job: the entity rows, and the place of each one's match per view.
ROWS, MATCHES = "__asof_rows", "__asof_matches"
#: The column of `ROWS` that holds the moment of an entity row, µs.
MOMENT = "__asof_moment"


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def microseconds(at: datetime) -> int:
    """`at` as µs since 1970, UTC; a moment without a zone is UTC."""
    return to_epoch_micros(at if at.tzinfo else at.replace(tzinfo=UTC))


@dataclass(frozen=True)
class Column:
    """A column of a source or of entity rows: its exact name and DuckDB's name of its type."""

    name: str
    type: str

    @property
    def sql(self) -> str:
        """Its identifier."""
        return quoted(self.name)

    @property
    def is_moment(self) -> bool:
        """True for timestamps and dates."""
        return self.type.startswith("TIMESTAMP") or self.type == "DATE"

    @property
    def is_integer(self) -> bool:
        """True for whole numbers of any width."""
        return self.type.removeprefix("U") in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")

    @property
    def us(self) -> str:
        """Its moment in µs; a moment without a zone, or a date, is UTC. NULL for infinity."""
        if not self.type.endswith("_NS"):
            return f"epoch_us({self.sql})"
        # DuckDB 2.0 knows no other function of nanoseconds with a zone, and casts by rounding: up, into the future.
        ns = f"epoch_ns({self.sql})"
        return f"(({ns} - ({ns} % 1000 + 1000) % 1000) // 1000)"

    def within(self, ranges: Sequence[Range]) -> str:
        """Return a condition on the bare column: it lies in one of the ranges; see `between`."""
        return f"({' OR '.join(f'({self.between(*limits)})' for limits in ranges) or 'FALSE'})"

    def between(self, first: datetime | None, last: datetime | None) -> str:
        """Return a condition on the bare column, by which whole row groups are skipped; TRUE where there is none."""
        limits = [(">=", first), ("<=", last)]
        if self.type.endswith("_NS"):
            return "TRUE"
        text = [f"{self.sql} {sign} {_timestamp(at, self.type)}" for sign, at in limits if at is not None]
        return " AND ".join(text) or "TRUE"


def _timestamp(at: datetime, type_: str) -> str:
    kind = "TIMESTAMPTZ" if type_ == "TIMESTAMP WITH TIME ZONE" else "TIMESTAMP"
    naive = at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
    return f"{kind} '{naive.isoformat(sep=' ')}'"


@dataclass(frozen=True)
class Source:
    """Rows of a feature view: Parquet files, their columns and how to read them."""

    files: tuple[str, ...]
    columns: Mapping[str, Column]
    options: str = ""

    @property
    def sql(self) -> str:
        """A relation."""
        return parquet(self.files, self.options)


#: Where a row of a source is: unique, and never NULL.
PLACE = "(file_index::BIGINT << 40 | file_row_number)"


def parquet(files: Sequence[str], options: str = "") -> str:
    """Return a relation over the rows of all files; columns are matched by name where there are several files."""
    names = ", ".join(literal(file) for file in files)
    return f"read_parquet([{names}]{options}, union_by_name={str(len(files) > 1 or '*' in files[0]).lower()})"


@dataclass(frozen=True)
class JoinedView:
    """One feature view of a join.

    Attributes:
        keys: pairs (name of the entity rows' column, column of the source); none: every row is of one entity.
        created: when a row became known, or None.
        max_age_us: a match older than this is unknown; None: it never expires.
        features: pairs (column of the source, name in the result).
    """

    name: str
    source: Source
    keys: tuple[tuple[str, Column], ...]
    event: Column
    created: Column | None
    max_age_us: int | None
    features: tuple[tuple[str, str], ...]


#: Each hash table is then built of the right side of its join, as the statements below mean it. DuckDB's own choice
#: goes by estimates, which a condition on moments makes too low: it took the whole history for the smaller side.
KEEP_SIDES = "SET disabled_optimizers = 'build_side_probe_side'"


def loaded(relation: str, moment: Column) -> str:
    """Return a statement that loads `relation` as `ROWS`, in order, with `MOMENT` in place of `moment`."""
    rows = f"SELECT * EXCLUDE ({moment.sql}), {moment.us} AS {MOMENT} FROM {relation}"
    return f"CREATE TEMP TABLE {ROWS} AS {rows}"


def first_last_and_number() -> str:
    """One row: the first and the last moment of the entity rows, and how many they are."""
    return f"SELECT min({MOMENT}), max({MOMENT}), count(*) FROM {ROWS}"


def days() -> str:
    """Return days since 1970 on which there are entity rows, one per row; the fraction is cut off backwards in time."""
    day = f"({MOMENT} - ({MOMENT} % {DAY_US} + {DAY_US}) % {DAY_US}) // {DAY_US}"
    return f"SELECT DISTINCT {day} FROM {ROWS} WHERE {MOMENT} IS NOT NULL"


def number(source: Source) -> str:
    """One row, one value: how many rows there are; only the files' footers are read."""
    return f"SELECT count(*) FROM {source.sql}"


def of_entities(view: JoinedView) -> str:
    """Return a condition on rows of the view: an entity row has their key."""
    ours = ", ".join(quoted(name) for name, _ in view.keys)
    theirs = ", ".join(column.sql for _, column in view.keys)
    return f"({theirs}) IN (SELECT {ours} FROM {ROWS})"


def matches(views: Sequence[JoinedView], orders: Sequence[Order], wheres: Sequence[str]) -> str:
    """Per entity row (`n`, its number) the place of its match in each view (`r0`, `r1`, ...) or NULL."""
    keys = dict.fromkeys(quoted(ours) for view in views for ours, _ in view.keys)
    rows = f"SELECT {', '.join(['rowid AS n', f'{MOMENT} AS t', *keys])} FROM {ROWS}"
    places, joins = [], []
    for at, (view, order, where) in enumerate(zip(views, orders, wheres, strict=True)):
        alive = "TRUE" if view.max_age_us is None else f"e.t - a{at}.event <= {view.max_age_us}"
        places.append(f"CASE WHEN {alive} THEN a{at}.place END AS r{at}")
        same = [f"e.{quoted(ours)} = a{at}.key{number}" for number, (ours, _) in enumerate(view.keys)]
        conditions = " AND ".join([*same, f"{order.bound} >= a{at}.moment"])
        joins.append(f"ASOF LEFT JOIN ({_candidates(view, order, where)}) a{at} ON {conditions}")
    return f"SELECT {', '.join(['e.n', *places])} FROM ({rows}) e {' '.join(joins)}"


def _candidates(view: JoinedView, order: Order, where: str) -> str:
    """Rows of a view that may match: keys, place, event and the `moment` by which the ASOF join finds the right one."""
    columns = [*(f"key{number}" for number in range(len(view.keys))), "place", "event"]
    known = "created IS NOT NULL" if order.known_only and view.created else "TRUE"
    found = f"SELECT {', '.join(columns)}, {order.moment} AS moment FROM ({_moments(view, where)}) WHERE {known}"
    if not order.frontier:
        return found
    by = f"PARTITION BY {', '.join(f'key{n}' for n in range(len(view.keys)))} " if view.keys else ""
    newest = f"event::HUGEINT * {SHIFT} + created"
    return f"{found} QUALIFY {newest} = max({newest}) OVER ({by}ORDER BY {order.moment})"


def lags(view: JoinedView, where: str) -> str:
    """One row: the fields of `Lags`."""
    lag = "created - event"
    return f"SELECT min(event), max(event), min({lag}), max({lag}) FROM ({_moments(view, where)})"


def on_grid(view: JoinedView, where: str, grid_us: int) -> str:
    """One row, one value: whether all events are multiples of `grid_us`."""
    return f"SELECT bool_and(event % {grid_us} = 0) FROM ({_moments(view, where)})"


def _moments(view: JoinedView, where: str) -> str:
    """Keys, event, created and place of the rows that have an event."""
    keys = [f"{theirs.sql} AS key{number}" for number, (_, theirs) in enumerate(view.keys)]
    created = view.created.us if view.created else "NULL"
    columns = [*keys, f"{view.event.us} AS event", f"{created} AS created", f"{PLACE} AS place"]
    rows = f"SELECT {', '.join(columns)} FROM {view.source.sql} WHERE {where}"
    return f"SELECT * FROM ({rows}) WHERE event IS NOT NULL"


def looked_up(views: Sequence[JoinedView], wheres: Sequence[str], carried: Mapping[str, str]) -> str:
    """Return result: `carried` (name -> expression over `ROWS`) and all features, in the order of the entity rows."""
    columns = [f"{expression} AS {quoted(name)}" for name, expression in carried.items()]
    joins = []
    for at, (view, where) in enumerate(zip(views, wheres, strict=True)):
        columns += [f"f{at}.v{number} AS {quoted(name)}" for number, (_, name) in enumerate(view.features)]
        features = [f"{quoted(column)} AS v{number}" for number, (column, _) in enumerate(view.features)]
        matched = f"{PLACE} IN (SELECT r{at} FROM {MATCHES})"
        rows = (
            f"SELECT {', '.join([f'{PLACE} AS place', *features])} FROM {view.source.sql} WHERE {where} AND {matched}"
        )
        joins.append(f"LEFT JOIN ({rows}) f{at} ON m.r{at} = f{at}.place")
    rows = f"{ROWS} e JOIN {MATCHES} m ON m.n = e.rowid"
    return f"SELECT {', '.join(columns)} FROM {rows} {' '.join(joins)} ORDER BY m.n"


def all_rows(source: Source, columns: Sequence[str], moments: Sequence[Column], where: str) -> str:
    """Return these columns of all rows; the moments last, as µs, UTC."""
    chosen = [*(quoted(name) for name in columns), *(f"make_timestamptz({at.us}) AS {at.sql}" for at in moments)]
    return f"SELECT {', '.join(chosen)} FROM {source.sql} WHERE {where}"


def latest_rows(
    source: Source, keys: Sequence[str], columns: Sequence[str], moments: Sequence[Column], where: str
) -> str:
    """Of each key the row with the greatest moments (event, and created where there is one); rows without a key not.

    As in a join, first the places, by a hash aggregate, then the rows.
    """
    event, *created = [at.us for at in moments]
    newest = f"{event}::HUGEINT * {SHIFT} + coalesce({created[0]}, {OLDEST})" if created else event
    present = " AND ".join([where, f"{event} IS NOT NULL", *(f"{quoted(key)} IS NOT NULL" for key in keys)])
    by = f" GROUP BY {', '.join(quoted(key) for key in keys)}" if keys else ""
    places = f"SELECT arg_max({PLACE}, {newest}) FROM {source.sql} WHERE {present}{by}"
    return all_rows(source, columns, moments, f"{where} AND {PLACE} IN ({places})")
