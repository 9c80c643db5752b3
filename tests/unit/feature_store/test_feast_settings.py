"""From `stack.yaml` to Feast: names, secrets, and what a user is told about mistakes."""

import contextlib
import sys
from pathlib import Path
from socket import socket
from time import monotonic
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from redis import Redis

from models.errors import TesseraError
from resources.feature_store.feast.online_settings import ONLINE_SETTINGS, check_online_settings
from resources.feature_store.feast.settings import (
    ONLINE_STORES,
    feast_settings,
    for_yaml,
    repo_config,
    revealed,
)
from resources.feature_store.feast.store import FeastStoreConfig
from resources.stack.loader import ROOT, load_stack
from tests.servers.ports import free_port
from tests.servers.postgres_server import PostgresDatabase
from tests.servers.redis_server import serving

# pyright: basic

DATABASE = {"type": "postgres", "host": "db", "user": "u", "password": "p", "database": "d"}


def opened(folder: Path, online_store: dict[str, Any], registry: str = "") -> Any:
    settings = feast_settings(folder, tables="/lake", online_store=online_store, registry=registry)
    return repo_config(folder, revealed(settings))


@pytest.mark.parametrize(
    ("online_store", "says"),
    [
        ({"type": "redsi"}, r"`feature_store.online_store.type` in stack.yaml is 'redsi'.*did you mean 'redis'"),
        ({"type": "no.such.PlaceOnlineStore"}, "'no.such.PlaceOnlineStore' cannot be imported.*No module named 'no'"),
        ({"type": "redis", "conection_string": "x"}, "online_store.conection_string.*did you mean 'connection_string'"),
        ({**DATABASE, "port": "five"}, r"`feature_store.online_store.port` in stack.yaml.*integer"),
        ({"type": "redis", "redis_type": "redis_cluster"}, "cannot use redis_type 'redis_cluster'"),
        ({"type": "redis", "connection_string": {"env": "NO_SUCH"}}, "environment variable 'NO_SUCH' is not set"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, online_store: dict[str, Any], says: str) -> None:
    with pytest.raises(TesseraError, match=says):
        opened(tmp_path, online_store)


def test_a_value_of_a_wrong_setting_is_not_shown(tmp_path: Path) -> None:
    """It may be a password under a misspelt name."""
    with pytest.raises(TesseraError) as error:
        opened(tmp_path, {"type": "postgres", "pasword": "hunter2"})
    assert "pasword" in str(error.value)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(("kind", "package"), [("redis", "redis"), ("postgres", "psycopg")])
def test_a_missing_client_names_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, package: str
) -> None:
    # Forgotten, so that they are imported again; `None` makes Python say that there is no such package.
    for name in [*sys.modules]:
        if name.split(".")[0] == package or name.startswith(
            ("feast.infra.online_stores.redis", "feast.infra.online_stores.postgres", "resources.feature_store.online")
        ):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(TesseraError, match=f"cannot be imported.*requirements/{kind}.lock"):
        opened(tmp_path, {"type": kind})


def test_secrets_reach_feast_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONLINE_PASSWORD", "hunter2")
    online_store = {**DATABASE, "password": {"env": "ONLINE_PASSWORD"}}
    settings = feast_settings(
        tmp_path, tables="/lake", online_store=online_store, registry="postgresql+psycopg://u:hunter3@db/registry"
    )
    assert repo_config(tmp_path, revealed(settings)).online_store.password == "hunter2"  # noqa: S105
    written = yaml.safe_dump(for_yaml(settings))
    assert "hunter" not in written
    assert yaml.safe_load(written)["online_store"]["password"] == "${ONLINE_PASSWORD}"  # noqa: S105
    assert yaml.safe_load(written)["registry"]["path"] == "${FEAST_REGISTRY_URL}"


@pytest.mark.slow
def test_a_file_of_settings_is_written_only_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path) as port, Redis(port=port) as client:
        client.config_set("requirepass", "hunter2")
        monkeypatch.setenv("REDIS", f"127.0.0.1:{port},password=hunter2")
        store = FeastStoreConfig(
            path=str(tmp_path / "feast"), online_store={"type": "redis", "connection_string": {"env": "REDIS"}}
        ).open()
        assert "churn_v1" in store.apply()
        assert store.check().ok
        texts = [file.read_bytes() for file in (tmp_path / "feast").rglob("*") if file.is_file()]
        assert not [text for text in texts if b"hunter2" in text]
        monkeypatch.setenv("REDIS", f"127.0.0.1:{port},password=wr0ng-hunter")
        locked_out = FeastStoreConfig(
            path=str(tmp_path / "feast"), online_store={"type": "redis", "connection_string": {"env": "REDIS"}}
        ).open()
        health = locked_out.check()
        assert not health.ok
        assert "password" in health.says
        assert "wr0ng-hunter" not in health.says


@pytest.mark.slow
def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    port = free_port()
    FeastStoreConfig(path=str(tmp_path)).open().apply()
    redis = {"type": "redis", "connection_string": f"127.0.0.1:{port}"}
    postgres = {"type": "postgres", "host": "127.0.0.1", "port": port, "user": "u", "password": "p", "database": "d"}
    for online_store in (redis, postgres):
        health = FeastStoreConfig(path=str(tmp_path), online_store=online_store).open().check()
        assert not health.ok
        assert str(port) in health.says
        assert "online_store" in health.todo or "online store" in health.todo
    url = f"postgresql+psycopg://u:hunter2@127.0.0.1:{port}/d"
    health = FeastStoreConfig(path=str(tmp_path / "other"), registry=url).open().check()
    assert not health.ok
    assert str(port) in health.says
    assert "hunter2" not in health.says


@pytest.mark.slow
@pytest.mark.parametrize("listens", [False, True])
def test_a_redis_that_does_not_answer_is_reported_within_two_seconds(listens: bool, tmp_path: Path) -> None:
    FeastStoreConfig(path=str(tmp_path)).open().apply()
    with socket() as server:  # bound, it answers to nobody; listening, it takes the connection and says nothing
        server.bind(("127.0.0.1", 0))
        if listens:
            server.listen()
        place = f"127.0.0.1:{server.getsockname()[1]}"
        store = FeastStoreConfig(path=str(tmp_path), online_store={"type": "redis", "connection_string": place}).open()
        begin = monotonic()
        health = store.check()
        assert (health.ok, monotonic() - begin < 4) == (False, True)
    assert "A database of the feature store does not answer" in health.says


def test_wrong_password_and_no_ssl(tmp_path: Path, postgres_server: PostgresDatabase) -> None:
    FeastStoreConfig(path=str(tmp_path)).open().apply()
    right = {"type": "postgres", **postgres_server.online_store}
    wrong = FeastStoreConfig(path=str(tmp_path), online_store={**right, "password": "wrong"}).open().check()
    assert (wrong.ok, "password" in wrong.says, "wrong" in wrong.says) == (False, True, False)
    without = {name: value for name, value in right.items() if name != "sslmode"}
    refused = FeastStoreConfig(path=str(tmp_path), online_store=without).open().check()
    assert not refused.ok
    assert "SSL" in refused.says
    assert "sslmode: disable" in refused.todo


def test_registry_and_online_store_in_one_database(tmp_path: Path, postgres_database: PostgresDatabase) -> None:
    url = postgres_database.url.replace("postgresql://", "postgresql+psycopg://")
    config = FeastStoreConfig(
        path=str(tmp_path), registry=url, online_store={"type": "postgres", **postgres_database.online_store}
    )
    assert "churn_v1" in config.open().apply()
    health = config.open().check()
    assert health.ok
    assert health.says == "Feast, services churn_v1, personalization_v1, online in postgres"
    assert not (tmp_path / "registry.db").exists()


@pytest.mark.parametrize("kind", ONLINE_SETTINGS)
def test_the_settings_that_are_known_before_feast_is_imported_are_those_of_its_stores(kind: str) -> None:
    from feast.repo_config import get_online_config_from_type

    fields = get_online_config_from_type(ONLINE_STORES[kind]).model_fields
    assert {"type", *ONLINE_SETTINGS[kind].model_fields} == {*fields}


REQUIRED = {"postgres": {"host": "h", "database": "d", "user": "u", "password": "p"}}
VALUES: list[object] = ["text", "5432", 5, 0, -1, 70_000, 2.5, True, None, "yes", ["a"], {"a": 1}]
SETTINGS = [(kind, name) for kind, settings in ONLINE_SETTINGS.items() for name in settings.model_fields]


@pytest.mark.parametrize(("kind", "name"), SETTINGS)
def test_what_feast_would_refuse_is_refused_when_the_stack_is_read(kind: str, name: str) -> None:
    from feast.repo_config import get_online_config_from_type

    feasts = get_online_config_from_type(ONLINE_STORES[kind])
    taken: list[object] = []
    places: set[object] = set()
    for value in VALUES:
        store = {**REQUIRED.get(kind, {}), name: value}
        try:
            check_online_settings({"type": kind, **store})
        except ValidationError as error:
            places.add(error.errors()[0]["loc"])
            continue
        taken.append(value)
        with contextlib.suppress(TesseraError):  # our stores do without some features, and say so
            feasts(type=ONLINE_STORES[kind], **store)
    assert places == {(name,)}
    assert len(taken) < len(VALUES) / 2
    assert taken or name in ("redis_type", "client", "conn_type")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"port": "abc"}, r"port` is 'abc': expected a whole number"),
        ({"port": True}, r"port` is True: expected a whole number"),
        ({"port": 70_000}, r"port` is 70000: .* less than or equal to 65535"),
        ({"sslmode": True}, r"sslmode` is True: expected text"),
        ({"conn_type": "pol"}, r"conn_type` is 'pol': .*did you mean 'pool'"),
        ({"password": 12345}, r"password`: expected text"),
        ({"port": {"env": "PORT"}}, r"port`: expected no text here; write \$\{PORT\}"),
    ],
)
def test_a_value_of_a_wrong_type_is_named_with_its_line(settings: dict[str, object], says: str, tmp_path: Path) -> None:
    document = yaml.safe_load((ROOT / "stack.yaml").read_text())
    online = {"type": "postgres", **REQUIRED["postgres"], **settings}
    document["profiles"]["local"]["ports"]["feature_store"] = {"kind": "feast", "online_store": online}
    file = tmp_path / "stack.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    lines = file.read_text().splitlines()
    line = 1 + next(n for n, text in enumerate(lines) if text.strip().startswith(f"{next(iter(settings))}:"))
    with pytest.raises(TesseraError, match=rf"stack.yaml:{line}: `local.ports.feature_store.online_store.{says}"):
        load_stack(file, None, str(tmp_path / "home"), {})


def test_a_variable_may_stand_for_a_number(tmp_path: Path) -> None:
    check_online_settings({"type": "postgres", **REQUIRED["postgres"], "port": "5432"})
    with pytest.raises(ValidationError, match="Field required"):
        check_online_settings({"type": "postgres", "host": "h", "password": {"env": "PW"}})


def test_a_misspelt_setting_of_the_online_store_is_found_when_the_stack_is_read(tmp_path: Path) -> None:
    document = yaml.safe_load((ROOT / "stack.yaml").read_text())
    password = {"password": {"env": "UNSET_PASSWORD"}}
    store = {"kind": "feast", "online_store": {"type": "postgres", "hots": "db", **password}}
    document["profiles"]["local"]["ports"]["feature_store"] = store
    file = tmp_path / "stack.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    line = 1 + next(n for n, text in enumerate(file.read_text().splitlines()) if "hots:" in text)
    with pytest.raises(TesseraError, match=rf"stack.yaml:{line}: .*hots` is 'db': .*did you mean 'host'"):
        load_stack(file, None, str(tmp_path / "home"), {})
