"""Servers, the second process, and the rule that a declared gap must fail as declared."""

import secrets
from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import jinja2
import psycopg
import pytest

from resources.conformance.capabilities import Gap
from resources.conformance.feast_behaviours import OFFLINE, ONLINE
from resources.conformance.suite import must_fail
from tests.conformance.feast_stores.other_process import OtherProcess, started
from tests.conformance.feast_stores.stores import Servers
from tests.servers.postgres_server import PostgresDatabase


@pytest.fixture(scope="session", autouse=True)
def _one_template() -> Iterator[None]:
    """Feast's Postgres store compiles the same large template for every query; here, once."""
    from feast.infra.offline_stores.contrib.postgres_offline_store import postgres

    @cache
    def compiled(source: str) -> jinja2.Template:
        return jinja2.Environment(loader=jinja2.BaseLoader()).from_string(source)  # noqa: S701 - as Feast does: SQL

    class Kept(jinja2.Environment):
        def from_string(self, source: Any, *_: Any, **__: Any) -> jinja2.Template:
            return compiled(source)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres, "Environment", Kept)
        yield


@pytest.fixture(scope="session")
def servers(redis_url: str, postgres_server: PostgresDatabase) -> Servers:
    """A Redis and a database; repositories differ by their project's name."""
    name = f"conformance_{secrets.token_hex(4)}"
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return Servers(redis_url, replace(postgres_server, database=name))


@pytest.fixture(scope="session")
def other_process() -> Iterator[OtherProcess]:
    """A second process on the same stores, in another time zone."""
    with started() as process:
        yield process


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Runs the tests of declared gaps inside `must_fail`."""
    gap = _declared(pyfuncitem)
    if gap is None:
        return (yield)
    with must_fail(gap, "feast_behaviours.py"):
        yield
    return True


def _declared(test: Any) -> Gap | None:
    kinds = {"test_feast_offline": OFFLINE, "test_feast_online": ONLINE}
    behaviours = kinds.get(test.module.__name__.rpartition(".")[2])
    if behaviours is None:
        return None
    behaviour = behaviours[test.originalname.removeprefix("test_")]
    return behaviour.gaps.get(test.callspec.params["repo"])
