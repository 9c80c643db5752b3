"""Alerts of all applications by one route, and their labels, which the application of the alert takes."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from service_world import ServiceWorld

from models.alerts import Alert

DAY = date(2026, 3, 1)
ALERT = "fraud-20260301-u00009887"


@pytest.fixture
def raised(world: ServiceWorld) -> ServiceWorld:
    """Two alerts of fraud."""
    found = [
        Alert(
            f"fraud-20260301-{who}", "fraud", DAY, who, ("4711",), datetime(2026, 3, 1, 12, tzinfo=UTC), score, score,
            "3", {"amount": 2.5},
        )
        for who, score in (("u00009887", 0.9), ("u00000001", 0.8))
    ]  # fmt: skip
    assert world.stack.open("alert_store").add_alerts(found) == 2
    return world


def listed(world: ServiceWorld, query: str = "", **headers: str) -> list[dict[str, Any]]:
    answer = world.ask(f"/v1/alerts?first=2026-03-01{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["alerts"]


def label(world: ServiceWorld, alert: str = ALERT, said: str = "fraud", **headers: str) -> Any:
    return world.ask("/v1/alerts/label", "POST", json={"alert_id": alert, "label": said}, headers=headers)


def test_a_label_of_the_shared_route_is_that_of_the_application(raised: ServiceWorld) -> None:
    first = listed(raised)[0]
    assert (first["alert_id"], first["app"], first["entity_id"]) == (ALERT, "fraud", "u00009887")
    assert (first["evidence"], first["reasons"], first["unlabelled"]) == (["4711"], {"amount": 2.5}, 1)
    answers = [label(raised, **{"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert (answers[0].json()["is_new"], answers[0].json()["published"]) == (True, 1)
    assert [one["label"] for one in listed(raised)] == ["fraud", None]
    assert [one["entity_id"] for one in listed(raised, "&only_open=true&app=fraud")] == ["u00000001"]
    theirs = raised.ask("/v1/fraud/alerts?first=2026-03-01").json()["alerts"]
    assert [one["label"] for one in theirs] == ["fraud", None]


def test_wrong_labels_alerts_days_and_applications_are_problems(raised: ServiceWorld) -> None:
    wrong = label(raised, said="fruad")
    assert (wrong.status_code, label(raised, "fraud-1").status_code) == (422, 404)
    assert "'fraud'" in wrong.json()["expected"]
    for query in ("first=2026-03-02&last=2026-03-01", "first=2026-03-01&app=churn", "first=2026-03-01&frist=1"):
        assert raised.ask(f"/v1/alerts?{query}").status_code == 422


def test_a_key_sees_and_labels_alerts_of_its_application_alone(raised: ServiceWorld) -> None:
    viewer, operator = raised.key("ada", "viewer", "fraud"), raised.key("bob", "operator", "churn")
    assert len(listed(raised, **viewer)) == 2
    assert listed(raised, **operator) == []
    assert [label(raised, **key).status_code for key in (viewer, operator)] == [403, 403]
    assert raised.ask("/v1/alerts?first=2026-03-01&app=fraud", headers=operator).status_code == 403
