"""An experiment on lists: each variant by its own part, shuffled places, a stopped variant, what a profile may say."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from assets.personalization.lists import live_resources
from assets.personalization.request import OpenLists, open_lists
from assets.personalization.variants import trial_of
from assets.stages.experiments import decisions
from models.errors import TesseraError
from models.experiments.assignment import Assignment, assignment_of
from models.experiments.config import ExperimentsConfig
from models.experiments.decisions import Decision
from models.personalization.composition import personalization
from models.personalization.config import PartsConfig
from models.recommend.config import GeneratorsConfig
from models.recommend.rules_config import RulesConfig
from models.settings import Settings
from tests.apps.personalization.lists_world import DAY, SETTINGS, ListsHome, home_after_a_night

#: One worker makes the home once.
pytestmark = pytest.mark.xdist_group("lists home")
SHOWN_ON = DAY + timedelta(days=1)
PARTS = PartsConfig(
    generators={"own_only": GeneratorsConfig(ease=0, walks=0, factors=0, popular=0, new=0)},
    rules={"short": RulesConfig(length=5)},
)


def trial(part: str, uses: str, **changed: Any) -> dict[str, Any]:
    return {
        "app": "personalization",
        "part": part,
        "variants": [{"name": "control", "share": 0.5, "uses": "current"}, {"name": "new", "share": 0.5, "uses": uses}],
        "primary": {"kind": "click"},
        "first_day": SHOWN_ON,
        "last_day": SHOWN_ON + timedelta(days=13),
        **changed,
    }


def settings_with(**trials: Any) -> Settings:
    own = SETTINGS.personalization.model_copy(update={"parts": PARTS})
    return Settings(personalization=own, experiments=ExperimentsConfig.model_validate({"trials": trials}))


@pytest.fixture
def home(tmp_path: Path) -> ListsHome:
    return home_after_a_night(tmp_path)


def of_both(lists: OpenLists, customers: list[str]) -> dict[str, dict[str, Any]]:
    return {id: dict(lists.of(id).row) for id in customers}


@pytest.mark.parametrize(("part", "uses"), [("ranker", "fused"), ("rules", "short"), ("generator", "own_only")])
def test_a_request_is_answered_by_the_part_of_the_customers_variant(home: ListsHome, part: str, uses: str) -> None:
    plain = home.published()
    customers = [*plain][:8]
    rows = of_both(open_lists(home.ports(), settings_with(t=trial(part, uses))), customers)
    assignment = Assignment("t", {"control": 0.5, "new": 0.5})
    assert {row["variant"] for row in rows.values()} == {"control", "new"}
    for id, row in rows.items():
        assert (row["experiment"], row["variant"]) == ("t", assignment.variant(id))
        same = row["product_ids"] == plain[id]["product_ids"]
        assert same if row["variant"] == "control" else True
        assert row["propensities"] == [1.0] * len(row["product_ids"])
    of_new = [row for row in rows.values() if row["variant"] == "new"]
    if uses == "short":
        assert {row["length"] for row in of_new} == {5}
    else:
        assert any(row["product_ids"] != plain[row["customer_id"]]["product_ids"] for row in of_new)


def test_a_night_shuffles_by_hash_repeats_itself_and_serves_the_control_once_a_variant_is_stopped(
    home: ListsHome,
) -> None:
    settings = settings_with(t=trial("ranker", "frequency", shuffled_share=0.3))
    plain = home.published()
    assert home.night(settings).success
    rows = home.published()
    publication = home.sink.published("personalization", DAY)
    assert publication is not None
    counts = {name: n for name, n in publication.counts.items() if name.startswith("variant_")}
    assert counts == {f"variant_{v}": sum(row["variant"] == v for row in rows.values()) for v in ("control", "new")}
    for id, row in rows.items():
        if row["variant"] == "control":
            assert sorted(row["product_ids"]) == sorted(plain[id]["product_ids"])
            assert min(row["propensities"]) < 1
    moved = [id for id, row in rows.items() if row["product_ids"] != plain[id]["product_ids"]]
    assert len(moved) > len(rows) / 2
    lists = open_lists(home.ports(), settings)
    some = next(id for id, row in rows.items() if row["variant"] == "new")
    assert lists.of(some).row["product_ids"] == rows[some]["product_ids"]
    event = lists.of(some).exposure("l1", datetime.combine(SHOWN_ON, datetime.min.time(), UTC), source="/shop")
    assert (event.data["variant"], event.data["propensities"]) == ("new", rows[some]["propensities"])

    stop = Decision("new", "stop", DAY, SHOWN_ON, datetime.now(UTC), decisions.GUARDRAIL, "returns are up")
    decisions.record(home.lake, "t", [stop])
    now = lists.of(some).row
    assert (now["experiment"], now["variant"]) == ("none", "none")
    assert sorted(now["product_ids"]) == sorted(plain[some]["product_ids"]), "at once, by the open service too"
    trials = [trial_of(lists.loaded, home.lake, settings, day, is_night=True) for day in (DAY, SHOWN_ON)]
    assert [one.dealt(some).variant for one in trials] == ["new", "none"], "a re-run of the night is as it was"


def test_several_experiments_at_once_deal_each_customer_independently_and_are_logged_together(home: ListsHome) -> None:
    """Rules of all customers, and two rankers that share the customers out; each list is as its variants say."""
    layer = {"name": "order"}
    settings = settings_with(
        short=trial("rules", "short", shuffled_share=0.4),
        one=trial("ranker", "frequency", layer={**layer, "up_to": 0.5}),
        two=trial("ranker", "ease", layer={**layer, "above": 0.5}),
    )
    plain = home.published()
    assert home.night(settings).success
    rows = home.published()
    assert {row["experiment"] for row in rows.values()} == {"short+one", "short+two"}
    assert {row["variant"] for row in rows.values()} == {"control+control", "control+new", "new+control", "new+new"}
    of_two = assignment_of("two", settings.experiments.trials["two"])
    for id, row in rows.items():
        of_rules = row["variant"].split("+")[0]
        assert of_rules == Assignment("short", {"control": 0.5, "new": 0.5}).variant(id)
        assert (row["experiment"] == "short+two") == (of_two.variant(id) != "none")
        assert (row["length"] == 5) == (of_rules == "new")
        if row["variant"] == "control+control":
            assert sorted(row["product_ids"]) == sorted(plain[id]["product_ids"])
        assert min(row["propensities"]) < 1, "the experiment that shuffles does so for every customer"
    some = next(iter(rows))
    assert open_lists(home.ports(), settings).of(some).row["product_ids"] == rows[some]["product_ids"]

    stop = Decision("new", "stop", DAY, SHOWN_ON, datetime.now(UTC), decisions.GUARDRAIL, "returns are up")
    decisions.record(home.lake, "short", [stop])
    some = next(id for id, row in rows.items() if row["variant"] == "new+new")
    now = open_lists(home.ports(), settings).of(some).row
    assert (now["experiment"], now["variant"]) == (rows[some]["experiment"].removeprefix("short+"), "new")
    assert now["length"] > 5, "the control's rules, and still the other experiment's ranker"


def test_a_request_is_answered_outside_of_an_experiment_whose_shares_changed_and_a_night_is_refused(
    home: ListsHome,
) -> None:
    open_lists(home.ports(), settings_with(t=trial("rules", "short"))).of("")
    moved = [{"name": "control", "share": 0.9, "uses": "current"}, {"name": "new", "share": 0.1, "uses": "short"}]
    settings = settings_with(t=trial("rules", "short", variants=moved))
    lists = open_lists(home.ports(), settings)
    found = lists.of("")
    assert (found.row["experiment"], len(found.row["product_ids"])) == ("none", 20)
    assert "no experiment is served: Experiment 't' began" in found.notes[0]
    with pytest.raises(TesseraError, match=r"control 0\.5, new 0\.5 then, control 0\.9, new 0\.1 now"):
        trial_of(lists.loaded, home.lake, settings, DAY, is_night=True)


def test_the_champion_without_a_ranker_serves_plain_ones(home: ListsHome) -> None:
    from models.personalization.parts import ITEMS, KNOWN
    from models.personalization.variants import variant_of

    live = live_resources(SETTINGS.personalization, home.lake, home.ports().vectors)
    champion = personalization({}, live[KNOWN], live[ITEMS], SETTINGS.personalization.steps)
    assert variant_of(champion, "ranker", "current", PARTS) is champion
    assert "ease" in variant_of(champion, "ranker", "ease", PARTS).parts
    assert variant_of(champion, "ranker", "frequency", PARTS).parts.keys() == champion.parts.keys()


SHARES = [{"name": "a", "share": 0.5, "uses": "current"}, {"name": "b", "share": 0.4, "uses": "ease"}]
WRONG = [
    ({"t": trial("ranker", "frequncy")}, "the ranker 'frequncy', which is not .*did you mean 'frequency'"),
    ({"t": trial("ranker", "fused", app="churn")}, "the ranker of 'churn', which has none; leave `app` out"),
    ({"t": trial("ranker", "fused", app="personalisation")}, "did you mean 'personalization'"),
    ({"t": trial("ranker", "fused", variants=SHARES)}, "shares of the variants add up to 0.9, not to 1"),
    ({"t": trial("ranker", "fused"), "u": trial("ranker", "ease")}, "'t' and 'u' of .*both vary the ranker"),
    ({"t": trial("rules", "short", unit="session")}, "must have the unit `customer`"),
]


@pytest.mark.parametrize(("trials", "says"), WRONG)
def test_a_profile_with_an_impossible_experiment_is_refused(trials: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        settings_with(**trials)


def test_a_variant_may_not_be_called_as_what_serves() -> None:
    with pytest.raises(ValidationError, match="'current' names what the champion"):
        PartsConfig(rules={"current": RulesConfig()})
