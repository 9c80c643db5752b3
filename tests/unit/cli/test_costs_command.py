"""What calls to paid models cost is kept in the home: by day, application, run and model, and within a day's limit."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from models.compose.budget import Budget
from models.errors import TesseraError
from pipelines.cli.commands import app
from pipelines.cli.costs import cost_of_run
from resources.account import Account, on_account_of
from resources.calls.failure import CallFailed, CallRefused
from resources.calls.policy import CallPolicy
from resources.cost_ledger import FILE, CostLedger
from resources.language_model.openai_compatible import OpenAIModelConfig
from resources.language_model.port import GuardedLanguageModel, Request
from resources.layout import check_layout
from resources.stack.loader import active_stack, load_stack
from tests.servers.model_stub import Fault, ModelStub, model_stub

PRICES: dict[str, Any] = {"input_eur_per_million_tokens": 200.0, "output_eur_per_million_tokens": 1000.0}
#: The stub's answer has 100 tokens of input and 20 of output.
CALL_EUR = (100 * 200 + 20 * 1000) / 1e6


@pytest.fixture
def stub() -> Iterator[ModelStub]:
    with model_stub() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TESSERA_HOME", str(tmp_path / "home"))
    active_stack.cache_clear()
    check_layout(tmp_path / "home")
    yield tmp_path / "home"
    active_stack.cache_clear()


def opened(stub: ModelStub, home: Path, **policy: Any) -> GuardedLanguageModel:
    calls = CallPolicy(first_pause_seconds=0.001, cache_entries=0, **policy)
    model = OpenAIModelConfig(url=f"{stub.url}/v1", api_key="k", model="model-1", calls=calls).open()
    model.keep_costs(CostLedger(home / FILE))
    return model


def tessera(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["costs", *arguments], catch_exceptions=False)


def totals(by: str) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in json.loads(tessera("--by", by, "--json").stdout)["totals"]}


def test_calls_are_summed_by_application_run_model_and_day(stub: ModelStub, home: Path) -> None:
    model = opened(stub, home, **PRICES)
    with on_account_of("support"):
        model.complete(Request("one"))

    @dg.asset(key=["churn", "scores"])
    def scores() -> None:
        model.complete(Request("two"))
        model.complete(Request("three"))

    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.materialize([scores], instance=instance)
    assert (
        cost_of_run(home, run.run_id, 10)
        == f"{2 * CALL_EUR:.4f} EUR for 2 calls, {200 * CALL_EUR:.4f} EUR per 1,000 scores"
    )
    assert cost_of_run(home, "another run", 10) == ""
    model.complete(Request("four"))
    assert {name: one["calls"] for name, one in totals("app").items()} == {"support": 1, "churn": 2, "": 1}
    assert totals("run")[run.run_id]["money_eur"] == pytest.approx(2 * CALL_EUR)
    (day,) = totals("day").values()
    assert (day["name"], day["calls"]) == (datetime.now(UTC).date().isoformat(), 4)
    assert (day["input_tokens"], day["output_tokens"]) == (400, 80)
    (of_model,) = totals("model").values()
    assert of_model["money_eur"] == pytest.approx(4 * CALL_EUR)
    assert f"{4 * CALL_EUR:.4f} EUR" in tessera().stdout


def test_an_unknown_price_is_counted_and_told_and_never_zero(stub: ModelStub, home: Path) -> None:
    opened(stub, home).complete(Request("one"))
    assert cost_of_run(home, "", 10) == "unknown: 1 call of 1 without a price"
    said = tessera()
    assert "unknown" in said.stdout
    assert "the price of 1 calls is unknown" in said.stderr
    with pytest.raises(CallRefused, match=r"price of .* is unknown, and its calls of a day may cost 1 EUR"):
        opened(stub, home, max_eur_per_day=1).complete(Request("two"))
    assert len(stub.requests) == 1


def test_the_limit_of_a_day_stops_before_the_call_in_every_process(stub: ModelStub, home: Path) -> None:
    asks = Request("a question", max_output_tokens=20)
    most = opened(stub, home, **PRICES, max_eur_per_day=2.5 * CALL_EUR)
    other = opened(stub, home, **PRICES, max_eur_per_day=2.5 * CALL_EUR)
    most.complete(asks)
    other.complete(asks)
    with pytest.raises(CallRefused, match=r"its calls of today cost 0\.08") as refused:
        other.complete(asks)
    assert "tessera costs" in refused.value.todo
    assert len(stub.requests) == 2
    spending = Budget(money_eur=1).start()
    with pytest.raises(CallRefused):
        most.complete(asks, spending)
    assert (spending.money_eur, spending.calls) == (0, 0), "a call that was not made costs nothing"


def test_several_at_once_do_not_go_over_the_limit(home: Path) -> None:
    ledger = CostLedger(home / FILE)

    def began(_: int) -> bool:
        try:
            ledger.begin(Account(), "m", "chat", 1.0, 5.0)
        except CallRefused:
            return False
        return True

    with ThreadPool(8) as pool:
        assert sum(pool.map(began, range(16))) == 5


def test_the_next_day_begins_at_nothing_and_a_dead_call_counts(home: Path) -> None:
    now = [datetime(2026, 3, 1, 23, 59, tzinfo=UTC)]
    ledger = CostLedger(home / FILE, lambda: now[0])
    ledger.begin(Account("support"), "m", "chat", 1.0, 1.5)  # its process dies
    with pytest.raises(CallRefused):
        ledger.begin(Account("support"), "m", "chat", 1.0, 1.5)
    now[0] += timedelta(minutes=2)
    ledger.end(ledger.begin(Account("support"), "m", "chat", 1.0, 1.5), input_tokens=1, output_tokens=1, money_eur=0.2)
    days = ledger.totals(now[0].date() - timedelta(days=1), now[0].date(), "day")
    assert [(one.name, one.money_eur) for one in days] == [("2026-03-01", 1.0), ("2026-03-02", 0.2)]


def test_tries_that_fail_are_counted_and_cost_nothing(stub: ModelStub, home: Path) -> None:
    stub.faults.extend([Fault(status=500), Fault(status=500)])
    with pytest.raises(CallFailed):
        opened(stub, home, **PRICES, tries=2).complete(Request("one"))
    (day,) = totals("day").values()
    assert (day["calls"], day["failed"], day["money_eur"]) == (2, 2, 0)


def test_the_profile_s_models_keep_their_costs_in_the_home(stub: ModelStub, home: Path, tmp_path: Path) -> None:
    model = {"kind": "openai_compatible", "url": f"{stub.url}/v1", "api_key": {"env": "A_KEY"}, "model": "m"}
    text = json.dumps({"profiles": {"paid": {"extends": "local", "ports": {"language_model": model}}}})
    shipped = active_stack()
    file = tmp_path / "stack.yaml"
    file.write_text(_with_profile(text))
    stack = load_stack(file, "paid", str(shipped.home), {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("A_KEY", "k")
        stack.open("language_model").complete(Request("one"))
    assert sum(one.calls for one in CostLedger(stack.home / FILE).totals(*[datetime.now(UTC).date()] * 2, "day")) == 1


def _with_profile(text: str) -> str:
    import yaml

    from resources.stack.loader import ROOT

    document = yaml.safe_load((ROOT / "stack.yaml").read_text())
    document["profiles"] |= json.loads(text)["profiles"]
    return yaml.safe_dump(document)


def test_a_damaged_record_is_named_and_no_call_is_made(stub: ModelStub, home: Path) -> None:
    model = opened(stub, home, **PRICES)
    for number in range(40):
        CostLedger(home / FILE).begin(Account("support", f"run {number}"), "m" * 200, "chat", 1.0, None)
    with (home / FILE).open("r+b") as file:
        file.truncate(5000)
    for attempt in (lambda: model.complete(Request("one")), tessera):
        with pytest.raises(TesseraError, match=r"costs\.db"):
            attempt()
    assert stub.requests == []


def test_wrong_days_and_a_home_without_calls_are_a_sentence(home: Path) -> None:
    assert "No call to a paid model" in tessera().stdout
    with pytest.raises(TesseraError, match="is not a day"):
        tessera("--from", "yesterday")
    with pytest.raises(TesseraError, match="is after"):
        tessera("--from", "2026-03-02", "--to", "2026-03-01")
