"""Who may ask the service: keys, roles, limits; and what every answer and the log of reads hold."""

import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from service_world import ServiceWorld

from models.errors import TesseraError
from pipelines.cli.listening import listened_on
from pipelines.gateway.holder import ROLES, Role
from pipelines.gateway.keys import MARKER, KeyFile
from pipelines.gateway.limits import Limits
from pipelines.gateway.reads import ReadLog
from pipelines.gateway.request import client_subject
from pipelines.service.build import build_routes
from pipelines.service.door import Door
from pipelines.service.metrics import Metrics
from pipelines.service.rules import RuledRoute
from resources.conformance.score_sets import DAY

PATH = "/v1/churn/scores/c000007"


def routes(world: ServiceWorld) -> list[APIRoute]:
    return [one for one in build_routes(Door(world.stack), Metrics()).routes if isinstance(one, APIRoute)]


def asked(route: APIRoute) -> tuple[str, str]:
    """A request that reaches the route; its values may be wrong."""
    path = route.path
    for name in route.param_convertors:
        path = path.replace(f"{{{name}}}", "c000007")
    return next(iter(route.methods or ())), path


def test_every_route_has_a_rule_and_each_role_and_scope_gets_what_it_says(world: ServiceWorld) -> None:
    found = routes(world)
    assert {type(one) for one in found} == {RuledRoute}
    keys: dict[tuple[Role, str | None], dict[str, str]] = {
        (role, app): world.key(f"{role}-{app}", role, app) for role in ROLES for app in (None, "churn", "demand")
    }
    for (role, app), header in keys.items():
        for route, answer in zip(found, world.ask_all([asked(one) for one in found], headers=header), strict=True):
            rule = route.openapi_extra or {}
            assert (answer.status_code != 403) is _may(role, app, rule), (role, app, route.path, answer.text)
            assert answer.status_code != 401


def _may(role: Role, app: str | None, rule: dict[str, Any]) -> bool:
    """The rule, written anew: the application is the key's or the key has all; the role is as high."""
    if rule["x-role"] == "none":
        return True
    is_high = ROLES.index(role) >= ROLES.index(rule["x-role"])
    return is_high and (app is None or rule["x-application"] in (app, "*"))


def test_without_a_key_only_health_is_answered_once_a_key_exists(world: ServiceWorld) -> None:
    world.publish()
    assert world.ask(PATH).status_code == 200
    world.key()
    found = {
        one.path: answer for one, answer in zip(routes(world), world.ask_all([*map(asked, routes(world))]), strict=True)
    }
    served = {path for path, answer in found.items() if answer.status_code != 401}
    assert served == {"/v2/health/live", "/v2/health/ready"}
    assert found["/metrics"].headers["www-authenticate"] == "Bearer"
    KeyFile(world.home).revoke("ada")
    assert world.ask(PATH).status_code == 401


def test_a_route_without_a_rule_is_not_built() -> None:
    service = FastAPI()
    service.router.route_class = RuledRoute
    with pytest.raises(AssertionError, match="no rule"):
        service.add_api_route("/v1/open", lambda: None)


def test_keys_are_taken_by_both_headers_and_only_unchanged(world: ServiceWorld) -> None:
    world.publish()
    (text,) = world.key().values()
    assert world.ask(PATH, headers={"Authorization": f"Bearer {text}"}).status_code == 200
    for wrong in (
        text[:-1] + ("0" if text[-1] != "0" else "1"),
        text.replace("tsk_", "tsk_0"),
        "tsk__",
        "x",
        f"{text}0",
    ):
        assert world.ask(PATH, headers={"X-API-Key": wrong}).status_code == 401
    KeyFile(world.home).revoke("ada")
    answer = world.ask(PATH, headers={"X-API-Key": text})
    assert answer.status_code == 401
    assert all(answer.json()[part] for part in ("detail", "expected", "todo"))


def test_only_digests_are_stored_and_for_the_user_alone(world: ServiceWorld) -> None:
    (text,) = world.key().values()
    file = world.home / "service" / "keys.json"
    assert text.split("_")[2] not in file.read_text()
    assert len(bytes.fromhex(text.split("_")[2])) == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["ada", "", "a\nb", "n" * 65])
def test_a_key_needs_a_name_of_its_own(world: ServiceWorld, name: str) -> None:
    world.key()
    with pytest.raises(TesseraError):
        KeyFile(world.home).create(name, "viewer")


def _emptied(file: Path) -> None:
    file.write_text('{"keys": []}')


def _linked_away(file: Path) -> None:
    file.rename(file.with_name("away.json"))
    file.symlink_to("elsewhere.json")


#: What may happen to `keys.json`.
DAMAGES: dict[str, Callable[[Path], object]] = {
    "moved away": lambda file: file.rename(file.with_name("away.json")),
    "moved away with its folder": lambda file: shutil.move(file.parent, file.parent.with_name("away")),
    "without a key": _emptied,
    "of no bytes": lambda file: file.write_bytes(b""),
    "half-written": lambda file: file.write_bytes(file.read_bytes()[:100]),
    "of something else": lambda file: file.write_text('{"keys": [{"id": 1}]}'),
    "written by others": lambda file: file.chmod(0o666),
    "linked to nothing": _linked_away,
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_home_that_had_keys_is_not_opened_by_what_happens_to_their_file(world: ServiceWorld, what: str) -> None:
    (key,) = world.key().values()
    assert world.ask("/v2", headers={"X-API-Key": key}).status_code == 200
    DAMAGES[what](world.home / "service" / "keys.json")
    for headers in ({}, {"X-API-Key": key}, {}):
        answer = world.ask("/v2", headers=headers)
        assert answer.status_code == 503
        assert "keys.json" not in answer.text
    assert world.ask("/v2/health/live").status_code == 200
    with pytest.raises(TesseraError, match=r"keys\.json") as found:
        listened_on("127.0.0.1", KeyFile(world.home))
    assert "tessera keys" in f"{found.value.expected}{found.value.todo}"
    KeyFile(world.home).open()
    assert world.ask("/v2").status_code == 200


def test_keys_of_an_earlier_release_are_marked_by_the_next_server(world: ServiceWorld) -> None:
    world.key()
    (world.home / MARKER).unlink()
    assert listened_on("127.0.0.1", KeyFile(world.home)) == ("127.0.0.1", True)
    (world.home / "service" / "keys.json").unlink()
    assert world.ask("/v2").status_code == 503
    key = world.key("bob")  # a home whose keys are missing may have new ones
    assert [world.ask("/v2", headers=one).status_code for one in (key, {})] == [200, 401]
    assert KeyFile(world.home).open() == 1
    assert world.ask("/v2").status_code == 200


def test_the_subject_of_a_clients_certificate_is_kept_as_the_proxy_of_this_machine_says_it(world: ServiceWorld) -> None:
    world.publish()
    key = world.key()
    for is_kept in (False, True):
        world = ServiceWorld(world.home, settings={"client_subject": is_kept})
        assert world.ask(PATH, headers={**key, "X-Client-Subject": "CN=reports"}).status_code == 200
    found = list(ReadLog(world.home).about("churn", "c000007"))
    assert [line.get("certificate") for line in found] == [None, "CN=reports"]
    said = [(b"x-client-subject", b"CN=a"), (b"x-client-subject", b"CN=reports" * 100)]
    assert len(client_subject({"client": ("::1", 1), "headers": said})) == 500, "the last one, cut"
    for client, text in ((("10.0.0.9", 1), b"CN=root"), (None, b"CN=root"), (("127.0.0.1", 1), b"CN=\x1b[31m")):
        assert client_subject({"client": client, "headers": [(b"x-client-subject", text)]}) == ""


def test_other_sites_and_other_names_are_refused(world: ServiceWorld) -> None:
    assert world.ask(PATH, headers={"Host": "evil.example"}).status_code == 403
    answer = world.ask(PATH, headers={"Origin": "https://evil.example"})
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")


def test_too_many_requests_say_when_to_come_again(world: ServiceWorld) -> None:
    world.settings = {"requests_per_second": 0.5, "burst": 2}
    answers = world.ask_all([("GET", "/v2")] * 3)
    assert sorted(one.status_code for one in answers) == [200, 200, 429]
    assert [one.headers["retry-after"] for one in answers if one.status_code == 429] == ["2"]


def test_a_bucket_fills_again_and_no_further_than_its_burst() -> None:
    now = [0.0]
    limits = Limits(2.0, 2, 1, clock=lambda: now[0])
    assert [limits.wait_seconds("a") for _ in range(3)] == [0, 0, 0.5]
    assert limits.wait_seconds("b") == 0
    now[0] = 100.0
    assert [limits.wait_seconds("a") > 0 for _ in range(3)] == [False, False, True]
    assert [limits.begin("a"), limits.begin("a")] == [True, False]
    limits.end("a")
    assert limits.begin("a")


def test_of_requests_at_one_time_no_more_are_answered_than_set(world: ServiceWorld) -> None:
    world.settings = {"in_flight": 2}
    answers = world.ask_all([("GET", "/metrics")] * 5)
    assert sorted(one.status_code for one in answers) == [200, 200, 503, 503, 503]
    assert world.ask("/metrics").status_code == 200


def test_bodies_and_slow_requests_end(world: ServiceWorld) -> None:
    world.settings = {"body_bytes": 1_000, "seconds": 1e-9}
    assert world.ask(PATH, "POST", content=b"x" * 1_001).status_code == 413
    answer = world.ask(PATH)
    assert (answer.status_code, answer.headers["retry-after"]) == (504, "1")


def test_every_answer_has_an_id_and_security_headers(world: ServiceWorld) -> None:
    answer = world.ask("/nothing", headers={"X-Request-ID": "mine-1"})
    assert answer.status_code == 404
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert world.ask("/nothing", headers={"X-Request-ID": "a b"}).headers["x-request-id"] != "a b"


def test_the_log_says_who_read_whose_score_and_names_no_one(world: ServiceWorld) -> None:
    world.publish()
    header = world.key("ada")
    world.ask(PATH, headers=header)
    world.ask("/v1/churn/scores/c000008", headers=header)
    (line,) = ReadLog(world.home).about("churn", "c000007")
    assert (line["who"], line["path"]) == ("ada", "/v1/churn/scores/{entity}")
    assert "c00000" not in json.dumps(line)


def test_metrics_count_requests_and_name_the_published_version(world: ServiceWorld) -> None:
    world.publish()
    world.ask_all([("GET", PATH), ("GET", PATH), ("GET", "/nothing")])
    text = world.ask("/metrics").text
    assert 'tessera_requests_total{method="GET",route="/v1/churn/scores/{entity}",status="200"} 2.0' in text
    assert 'tessera_requests_total{method="GET",route="none",status="404"} 1.0' in text
    assert 'tessera_published_info{app="churn",degradation="fresh",model_version="3"} 1.0' in text
    assert f"{DAY}" not in text
