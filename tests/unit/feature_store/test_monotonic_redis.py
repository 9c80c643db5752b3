"""Our Redis store beside Feast's own, on a real Redis: the same bytes; but monotonic, and it can forget."""

# Feast and redis-py are only partly typed.
# pyright: basic

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from feast import Entity, FeatureService, FeatureStore, FeatureView, ValueType
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.redis import RedisOnlineStore
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from models.errors import TesseraError
from resources.feature_store.online.bulk_store import EncodedRows, ViewRead
from resources.feature_store.online.redis import MonotonicRedisOnlineStore
from tests.unit.feature_store.redis_views import (
    ACTIVITY,
    CUSTOMER,
    LOYALTY,
    NUMBER,
    activity,
    config,
    customer,
    encoded,
    key,
    points,
    view,
)

JULY = datetime(2026, 7, 1, 12, 30, 15, 123456, tzinfo=UTC)
HOUR = 3_600_000_000
FIRST, LAST = (int(moment.timestamp()) * 10**6 for moment in (datetime(1, 1, 2), datetime(9999, 12, 30)))
FEATURES = ["amount", "orders", "city"]
ROWS = {
    "ann": activity(1.5, 3, "Oslo"),
    "bob": activity(None, -(2**63), ""),
    "": activity(float("inf"), 0, "é" * 200),
    "c" * 300: activity(None, None, None),
}
MOMENTS = [JULY, JULY.replace(microsecond=0), datetime(1999, 12, 31), datetime(2026, 1, 1, tzinfo=timezone.max)]


def us(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


TIMES = st.sampled_from([FIRST, -1, 0, 1, 999_999, 1_000_000, us(JULY), us(JULY) + 1, LAST, LAST + 1])


class Ours:
    """Our store on one database, and what lies in it."""

    def __init__(self, url: str, **settings: Any) -> None:
        self.config = config(url, **settings)
        self.store = MonotonicRedisOnlineStore()
        self.redis: Any = Redis(port=int(url.split(":")[1]))

    def write(self, rows: EncodedRows, to: FeatureView = ACTIVITY) -> int:
        return self.store.write_rows(self.config, to, rows)

    def amounts(self, *names: str) -> list[float | None]:
        """The stored `amount` of customers; None of NULL and of strangers."""
        found = self.store.read_rows(self.config, ACTIVITY, [key(name) for name in names], ["amount"])
        values = [Value.FromString(cell or b"") for cell in found.features["amount"]]
        return [value.double_val if value.HasField("double_val") else None for value in values]

    def time(self, name: str, of: FeatureView = ACTIVITY) -> int | None:
        return self.store.read_rows(self.config, of, [key(name)], []).event_timestamps[0]

    def forget(self, *names: str, of: Sequence[FeatureView] = (ACTIVITY, LOYALTY)) -> int:
        return self.store.forget_rows(self.config, of, [key(name) for name in names])

    def everything(self) -> dict[bytes, dict[bytes, bytes]]:
        """All hashes and their fields, as Feast's own store would leave them: without our field."""
        hashes = [found for found in self.redis.scan_iter() if self.redis.type(found) == b"hash"]
        return {found: _feasts(self.redis.hgetall(found)) for found in hashes}


def _feasts(fields: Any) -> dict[bytes, bytes]:
    return {field: value for field, value in fields.items() if not field.startswith(b"_created:")}


@pytest.fixture
def ours(fresh_redis: str) -> Ours:
    return Ours(fresh_redis)


def row(amount: float) -> dict[str, dict[str, Value]]:
    return {"ann": activity(amount, 1, "Oslo")}


class TestLayout:
    def both(self, fresh_redis: str) -> tuple[dict[bytes, dict[bytes, bytes]], dict[bytes, dict[bytes, bytes]]]:
        """All that Feast's own store and ours make of the same rows of two views."""
        rows: list[Any] = [
            (customer(name), row, at, JULY) for (name, row), at in zip(ROWS.items(), MOMENTS, strict=True)
        ]
        loyal: list[Any] = [(customer(name), points(7), JULY, None) for name in ROWS]
        feasts = config(fresh_redis, "redis")
        RedisOnlineStore().online_write_batch(feasts, ACTIVITY, rows, None)
        RedisOnlineStore().online_write_batch(feasts, LOYALTY, loyal, None)
        ours = Ours(fresh_redis)
        expected = ours.everything()
        ours.redis.flushall()
        events = [us(at if at.tzinfo else at.replace(tzinfo=UTC)) for at in MOMENTS]
        assert ours.write(encoded(ROWS, events, us(JULY))) == 4
        assert ours.write(encoded({name: points(7) for name in ROWS}, us(JULY), None), LOYALTY) == 4
        bulk = ours.everything()
        ours.redis.flushall()
        ours.store.online_write_batch(ours.config, ACTIVITY, rows, None)
        ours.store.online_write_batch(ours.config, LOYALTY, loyal, None)
        assert ours.everything() == bulk
        return expected, bulk

    def test_every_field_is_what_feast_writes(self, fresh_redis: str) -> None:
        expected, found = self.both(fresh_redis)
        assert len(expected) == 4
        assert sum(map(len, expected.values())) == 4 * (3 + 1 + 1 + 1)
        assert found == expected

    def test_feasts_own_store_reads_it(self, ours: Ours) -> None:
        ours.write(encoded({"ann": activity(1.5, None, "Oslo")}, us(JULY), us(JULY)))
        read = RedisOnlineStore().online_read(config(_url(ours), "redis"), ACTIVITY, [customer("ann")], [*FEATURES])
        assert read == [(JULY, activity(1.5, None, "Oslo"))]

    def test_many_rows_and_many_features_arrive_whole(self, ours: Ours) -> None:
        """More than one call of the script, and more arguments than one HSET of a script can have."""
        names = [f"f{number}" for number in range(4100)]
        wide = view("wide", *names)
        cells = [Value(int64_val=number).SerializeToString() for number in range(4100)]
        rows = EncodedRows([key("ann"), key("bob")], [5, 5], [None, 6], {name: [c, c] for name, c in zip(names, cells)})  # noqa: B905
        assert ours.write(rows, wide) == 2
        many = [f"{number}" for number in range(3000)]
        tall = encoded({name: points(int(name)) for name in many}, 5, None)
        assert ours.write(tall, LOYALTY) == 3000
        found = ours.store.read_rows(ours.config, wide, [key("bob")], names)
        assert [found.features[name][0] for name in names] == cells
        found = ours.store.read_rows(ours.config, LOYALTY, tall.entity_keys, ["points"])
        assert list(found.features["points"]) == tall.features["points"]
        assert ours.forget("bob", of=[wide]) == 1
        assert ours.redis.exists(key("bob") + b"shop") == 0

    def test_versions_of_a_view_are_rows_of_their_own_and_forgotten_together(self, fresh_redis: str) -> None:
        ours = Ours(fresh_redis, versions=True)
        for version in (0, 1, 2):
            ACTIVITY_V = view("activity", *FEATURES)
            ACTIVITY_V.current_version_number = version
            ours.write(encoded(row(float(version)), 5, 5), ACTIVITY_V)
        ours.write(encoded({"ann": points(1)}, 5, None), LOYALTY)
        fields = ours.redis.hkeys(key("ann") + b"shop")
        assert {f for f in fields if f.startswith(b"_ts:")} == {
            b"_ts:activity",
            b"_ts:activity_v1",
            b"_ts:activity_v2",
            b"_ts:loyalty",
        }
        assert ours.forget("ann", of=[ACTIVITY_V]) == 3
        assert len(ours.redis.hkeys(key("ann") + b"shop")) == 2
        assert ours.time("ann", LOYALTY) == 5


class TestNewestWins:
    @pytest.mark.parametrize(
        ("event", "created", "wins"),
        [
            pytest.param(0, 0, True, id="retry"),
            pytest.param(-1, 9, False, id="older window, created later"),
            pytest.param(1, -9, True, id="newer event, created earlier"),
            pytest.param(0, 1, True, id="correction"),
            pytest.param(0, -1, False, id="what was corrected"),
            pytest.param(0, None, False, id="no created time beside one that has"),
        ],
    )
    def test_beside_a_row_with_created(self, ours: Ours, event: int, created: int | None, wins: bool) -> None:
        """One microsecond decides."""
        ours.write(encoded(row(1.0), us(JULY), us(JULY) + HOUR))
        later = None if created is None else us(JULY) + HOUR + created
        assert ours.write(encoded(row(2.0), us(JULY) + event, later)) == wins
        assert ours.amounts("ann") == [2.0 if wins else 1.0]
        assert ours.time("ann") == us(JULY) + (event if wins else 0)

    def test_a_row_with_created_replaces_one_without_and_not_the_reverse(self, ours: Ours) -> None:
        writes = [(1.0, None, True), (2.0, None, True), (3.0, 0, True), (4.0, None, False), (5.0, -1, False)]
        for amount, created, wins in writes:
            assert ours.write(encoded(row(amount), us(JULY), created)) == wins
        assert ours.amounts("ann") == [3.0]

    @given(st.lists(st.tuples(TIMES | st.integers(FIRST, LAST), st.none() | TIMES), max_size=12))
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_as_a_list_of_all_writes_says(self, ours: Ours, writes: list[tuple[int, int | None]]) -> None:
        """Any times from year 1 to year 9999; the oracle is Python's maximum."""
        ours.redis.flushdb()
        for number, (event, created) in enumerate(writes):
            ours.write(encoded(row(float(number)), event, created))
        last = max(
            enumerate(writes),
            key=lambda write: (write[1][0], write[1][1] is not None, write[1][1] or 0, write[0]),
            default=None,
        )
        assert ours.amounts("ann") == [last and float(last[0])]
        assert ours.time("ann") == (last and last[1][0])

    def test_a_later_row_without_created_leaves_none_behind(self, ours: Ours) -> None:
        ours.write(encoded(row(1.0), 5, 5))
        ours.write(encoded(row(2.0), 6, None))
        assert b"_created:activity" not in ours.redis.hkeys(key("ann") + b"shop")

    def test_pushed_rows_obey_too_in_any_order(self, ours: Ours) -> None:
        def push(*rows: tuple[float, datetime, datetime | None]) -> float | None:
            data: list[Any] = [(customer("ann"), activity(amount, 1, "Oslo"), at, made) for amount, at, made in rows]
            done: list[int] = []
            ours.store.online_write_batch(ours.config, ACTIVITY, data, done.append)
            assert done == [len(rows)]
            return ours.amounts("ann")[0]

        assert push((2.0, JULY, JULY), (1.0, JULY - timedelta(seconds=1), None)) == 2.0
        assert push((3.0, JULY, JULY + timedelta(microseconds=1))) == 3.0
        assert push((4.0, JULY.replace(tzinfo=None), JULY)) == 3.0
        assert push((5.0, JULY.astimezone(timezone(timedelta(hours=5))), JULY + timedelta(hours=1))) == 5.0
        partial = (customer("ann"), {"amount": Value(double_val=6.0)}, JULY + timedelta(1), None)
        whole = (customer("bob"), activity(7.0, 1, "Bonn"), JULY, None)
        asyncio.run(ours.store.online_write_batch_async(ours.config, ACTIVITY, [partial, whole], None))
        assert ours.amounts("ann", "bob") == [6.0, 7.0]

    def test_a_row_of_nulls_clears(self, ours: Ours) -> None:
        ours.write(encoded(row(1.0), 5, 5))
        ours.write(encoded({"ann": activity(None, None, None)}, 6, 6))
        found = ours.store.read_rows(ours.config, ACTIVITY, [key("ann")], FEATURES)
        assert (list(found.event_timestamps), dict(found.features)) == ([6], dict.fromkeys(FEATURES, (b"",)))


class TestBesideFeastsOwnStore:
    """A feature server of Feast's may write to the same Redis; it leaves our field as it was."""

    @pytest.mark.parametrize(("event", "wins"), [(-1, False), (0, True), (1, True)])
    @pytest.mark.parametrize("at", [JULY, datetime(1950, 7, 1, 1, 1, 1, 5, tzinfo=UTC)], ids=str)
    def test_its_rows_have_no_created_time(self, ours: Ours, at: datetime, event: int, wins: bool) -> None:
        self.feast_writes(ours, 1.0, at)
        assert ours.write(encoded(row(2.0), us(at) + event, None)) == wins
        assert ours.amounts("ann") == [2.0 if wins else 1.0]

    def test_a_created_time_of_ours_does_not_count_for_its_row(self, ours: Ours) -> None:
        ours.write(encoded(row(1.0), us(JULY), us(JULY) + HOUR))
        self.feast_writes(ours, 2.0, JULY + timedelta(minutes=1))
        assert ours.write(encoded(row(3.0), us(JULY) + 60_000_000, us(JULY))) == 1
        assert ours.amounts("ann") == [3.0]

    def test_what_it_deleted_is_gone_for_ours(self, ours: Ours) -> None:
        ours.write(encoded(row(1.0), 5, 5))
        ours.write(encoded({"ann": points(1)}, 5, 5), LOYALTY)
        RedisOnlineStore().delete_table(config(_url(ours), "redis"), ACTIVITY)
        assert ours.time("ann") is None
        assert ours.write(encoded(row(2.0), 1, 1)) == 1

    def feast_writes(self, ours: Ours, amount: float, at: datetime) -> None:
        data: list[Any] = [(customer("ann"), activity(amount, 1, "Oslo"), at, None)]
        RedisOnlineStore().online_write_batch(config(_url(ours), "redis"), ACTIVITY, data, None)


class TestReading:
    def test_in_the_order_asked_duplicates_and_strangers_too(self, ours: Ours) -> None:
        ours.write(
            encoded({name: activity(float(number), None, None) for number, name in enumerate("abc")}, [7, 8, 9], 1)
        )
        asked = [key(name) for name in ("c", "stranger", "a", "c")]
        found = ours.store.read_rows(ours.config, ACTIVITY, asked, ["orders", "amount", "not_stored"])
        assert list(found.event_timestamps) == [9, None, 7, 9]
        assert list(found.features) == ["orders", "amount", "not_stored"]
        assert list(found.features["orders"]) == [b"", None, b"", b""]
        assert list(found.features["not_stored"]) == [None] * 4
        assert ours.amounts("c", "stranger", "a") == [2.0, None, 0.0]

    def test_several_views_with_keys_of_their_own(self, ours: Ours) -> None:
        ours.write(encoded(row(1.0), 5, 5))
        ours.write(encoded({"ann": points(1), "bob": points(2)}, [6, 7], None), LOYALTY)
        of_activity = ViewRead(ACTIVITY, [key("bob"), key("ann")], ["amount"])
        of_loyalty = ViewRead(LOYALTY, [key("ann"), key("eve"), key("bob")], ["points"])
        reads = [of_activity, ViewRead(LOYALTY, [], ["points"]), of_loyalty]
        found = ours.store.read_views(ours.config, reads)
        assert [list(rows.event_timestamps) for rows in found] == [[None, 5], [], [6, None, 7]]
        cells = [points(number)["points"].SerializeToString() for number in (1, 2)]
        assert list(found[2].features["points"]) == [cells[0], None, cells[1]]
        assert ours.store.read_views(ours.config, []) == []

    def test_of_nobody(self, ours: Ours) -> None:
        found = ours.store.read_rows(ours.config, ACTIVITY, [], ["amount"])
        assert (list(found.event_timestamps), {name: list(of) for name, of in found.features.items()}) == (
            [],
            {"amount": []},
        )
        assert ours.write(encoded({}, 5, None)) == 0
        assert ours.forget() == 0

    def test_feasts_protocol_has_nothing_of_a_stranger(self, ours: Ours) -> None:
        ours.write(encoded({"ann": points(1)}, 5, 5), LOYALTY)
        ours.write(encoded({"bob": activity(1.5, None, "Bonn")}, us(JULY), None))
        keys = [customer(name) for name in ("stranger", "ann", "bob")]
        expected = [(None, None), (None, None), (JULY, activity(1.5, None, "Bonn"))]
        assert ours.store.online_read(ours.config, ACTIVITY, keys, [*FEATURES]) == expected
        assert asyncio.run(self.read_async(ours, keys)) == expected

    async def read_async(self, ours: Ours, keys: list[EntityKey]) -> list[Any]:
        try:
            return await ours.store.online_read_async(ours.config, ACTIVITY, keys, [*FEATURES])
        finally:
            client: Any = ours.store._client_async
            await client.aclose()


class TestForgetting:
    def test_rows_go_and_no_write_brings_them_back(self, ours: Ours) -> None:
        both = {"ann": activity(1.0, 1, "Oslo"), "bob": activity(2.0, 2, "Bonn")}
        ours.write(encoded(both, 5, 5))
        ours.write(encoded({"ann": points(1)}, 5, None), LOYALTY)
        assert ours.forget("ann", "stranger") == 2
        assert ours.write(encoded(both, 9, 9)) == 1
        ours.store.online_write_batch(
            ours.config,
            ACTIVITY,
            [(customer(name), activity(3.0, 1, "x"), JULY, None) for name in ("ann", "stranger")],
            None,
        )
        assert ours.amounts("ann", "bob", "stranger") == [None, 2.0, None]
        assert ours.forget("ann") == 0

    def test_what_remains_is_a_digest(self, ours: Ours) -> None:
        ours.write(encoded(row(1.0), 5, 5))
        ours.forget("ann")
        (left,) = ours.redis.scan_iter()
        assert ours.redis.type(left) == b"set"
        assert b"ann" not in left
        assert all(b"ann" not in member for member in ours.redis.smembers(left))

    def test_only_in_its_project(self, ours: Ours, fresh_redis: str) -> None:
        other = Ours(fresh_redis, project="other_shop")
        for project in (ours, other):
            project.write(encoded(row(1.0), 5, 5))
        assert ours.forget("ann") == 1
        assert (ours.amounts("ann"), other.amounts("ann")) == ([None], [1.0])
        assert other.write(encoded(row(2.0), 6, 6)) == 1

    def test_other_views_of_the_entity_stay_when_one_is_named(self, ours: Ours) -> None:
        ours.write(encoded(row(1.0), 5, 5))
        ours.write(encoded({"ann": points(3)}, 5, None), LOYALTY)
        assert ours.forget("ann", of=[ACTIVITY]) == 1
        assert ours.time("ann", LOYALTY) == 5
        assert len(ours.redis.hkeys(key("ann") + b"shop")) == 2

    def test_it_outlives_the_deletion_of_a_view(self, ours: Ours) -> None:
        ours.write(encoded({"bob": activity(1.0, 1, "Bonn")}, 5, 5))
        ours.forget("ann")
        ours.store.update(ours.config, [ACTIVITY], [LOYALTY], [], [], partial=False)
        assert ours.time("bob") is None
        assert ours.write(encoded(row(1.0), 9, 9)) == 0


class TestDeleting:
    def test_a_view_goes_with_our_field_and_the_others_stay(self, ours: Ours) -> None:
        ours.write(encoded({"ann": activity(1.0, 1, "Oslo"), "bob": activity(1.0, 1, "Bonn")}, 5, 5))
        ours.write(encoded({"ann": points(3)}, 5, 5), LOYALTY)
        ours.store.update(ours.config, [ACTIVITY], [LOYALTY], [], [], partial=False)
        assert list(ours.everything()) == [key("ann") + b"shop"]
        assert {field for field in ours.redis.hkeys(key("ann") + b"shop") if field.startswith(b"_")} == {
            b"_ts:loyalty",
            b"_created:loyalty",
        }

    @pytest.mark.parametrize("delete", ["delete_table", "teardown"])
    def test_only_of_its_project_and_entity(self, ours: Ours, fresh_redis: str, delete: str) -> None:
        """Feast's own matches whatever ends like the project: deleting in `shop`, it would empty `other_shop`, too."""
        other = Ours(fresh_redis, project="other_shop")
        numbers = view("numbers", "orders", entity=NUMBER)
        (one,) = (EntityKey(join_keys=["number"], entity_values=[Value(int64_val=0x6F6873)]),)
        number = EncodedRows([serialize_entity_key(one, 3)], [5], [5], {"orders": [b"\x20\x01"]})
        for store in (ours, other):
            store.write(encoded(row(1.0), 5, 5))
        ours.write(number, numbers)
        ours.redis.set(b"\x01\x00\x00\x00\x02\x00\x00\x00 cut short shop", "not Feast's")
        if delete == "teardown":
            ours.forget("bob")
            ours.store.teardown(ours.config, [ACTIVITY, LOYALTY], [])
        else:
            ours.store.delete_table(ours.config, ACTIVITY)
        assert set(ours.everything()) == {key("ann") + b"other_shop", serialize_entity_key(one, 3) + b"shop"}
        assert len(list(ours.redis.scan_iter())) == 3

    def test_join_keys_whose_length_is_a_wildcard(self, ours: Ours) -> None:
        """42 is `*`, 91 is `[`: bytes of the pattern that stored keys are looked up by."""
        for length in (42, 63, 91, 92):
            entity = Entity(name="long", join_keys=["k" * length], value_type=ValueType.STRING)
            long = view("long", "points", entity=entity)
            one = EntityKey(join_keys=["k" * length], entity_values=[Value(string_val="a")])
            rows = EncodedRows([serialize_entity_key(one, 3)], [5], [5], {"points": [b"\x20\x01"]})
            assert ours.write(rows, long) == 1
            ours.store.delete_table(ours.config, long)
            assert ours.everything() == {}

    def test_more_than_one_portion(self, ours: Ours) -> None:
        rows = encoded({str(number): points(number) for number in range(12_000)}, 5, 5)
        assert ours.write(rows, LOYALTY) == 12_000
        ours.store.delete_table(ours.config, LOYALTY)
        assert ours.redis.dbsize() == 0


class TestSettings:
    def test_keys_expire_from_their_last_write(self, fresh_redis: str) -> None:
        ours = Ours(fresh_redis, key_ttl_seconds=1000)
        ours.write(encoded(row(1.0), 5, 5))
        stored = key("ann") + b"shop"
        assert 990 < ours.redis.ttl(stored) <= 1000
        ours.redis.expire(stored, 500)
        ours.write(encoded(row(1.0), 4, 5))
        assert ours.redis.ttl(stored) <= 500
        ours.write(encoded(row(1.0), 6, 5))
        assert 990 < ours.redis.ttl(stored) <= 1000
        ours.redis.pexpire(stored, 1)
        while ours.redis.exists(stored):
            pass
        assert ours.amounts("ann") == [None]
        assert ours.write(encoded(row(7.0), 1, 1)) == 1

    def test_without_it_they_stay(self, ours: Ours) -> None:
        ours.write(encoded(row(1.0), 5, 5))
        ours.forget("bob")
        assert {ours.redis.ttl(found) for found in ours.redis.scan_iter()} == {-1}

    @pytest.mark.parametrize(
        ("setting", "says"),
        [
            ({"redis_type": "redis_cluster"}, "cannot use redis_type 'redis_cluster'"),
            ({"skip_dedup": True}, "skip_dedup"),
        ],
    )
    def test_what_would_break_a_promise_is_refused(self, setting: dict[str, Any], says: str) -> None:
        with pytest.raises(TesseraError, match=says):
            config("127.0.0.1:1", **setting)


class TestThroughFeast:
    def test_push_read_delete_and_teardown(self, ours: Ours, tmp_path: Path) -> None:
        """What Feast's own client says: of a stranger nothing was found; NULL was found."""
        feast = FeatureStore(config=config(_url(ours), registry=f"{tmp_path}/registry.db"))
        feast.apply([CUSTOMER, ACTIVITY, LOYALTY, FeatureService(name="all", features=[ACTIVITY, LOYALTY])])
        frame = pd.DataFrame(
            {
                "customer_id": ["ann", "bob"],
                "amount": [1.5, None],
                "orders": [3, 4],
                "city": ["Oslo", "Bonn"],
                "at": JULY,
                "made": JULY,
            }
        )
        feast.write_to_online_store("activity", frame)
        feast.write_to_online_store("activity", frame.assign(amount=9.0, at=JULY - timedelta(1)))
        asked = [{"customer_id": name} for name in ("ann", "bob", "eve")]
        response = feast.get_online_features(feast.get_feature_service("all"), asked)
        read = response.to_dict()
        assert read["amount"] == [1.5, None, None]
        assert read["city"] == ["Oslo", "Bonn", None]
        statuses = {
            name: list(vector.statuses)
            for name, vector in zip(response.proto.metadata.feature_names.val, response.proto.results, strict=True)
        }
        present, not_found = FieldStatus.PRESENT, FieldStatus.NOT_FOUND
        assert statuses["amount"] == statuses["city"] == [present, present, not_found]
        assert statuses["points"] == [not_found] * 3
        feast.delete_feature_view("loyalty")
        feast.apply([], objects_to_delete=[feast.get_feature_view("activity")], partial=False)
        assert ours.redis.dbsize() == 0
        feast.teardown()


def _url(ours: Ours) -> str:
    settings: Any = ours.config.online_store
    return settings.connection_string
