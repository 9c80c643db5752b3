"""Reading `stack.yaml`: what a user may write, and what they are told when it is wrong."""

from pathlib import Path

import dagster as dg
import pytest
import yaml

from models.errors import TesseraError
from models.settings import FraudSettings
from resources.stack.loader import ADAPTERS, ROOT, Stack, load_stack
from resources.stack.ports import stack_resources
from resources.stack.run_config import adapter_of_run
from resources.stack.table import PORTS

SHIPPED = ROOT / "stack.yaml"
#: Settings that are places of files.
_PLACES = {"path", "cache", "temp_directory"}


def stack_file(folder: Path, **changes: object) -> Path:
    """The shipped file with some keys of its default profile replaced."""
    document = yaml.safe_load(SHIPPED.read_text())
    document["profiles"]["local"].update(changes)
    file = folder / "stack.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def read(file: Path, name: str | None = None, home: str | None = None, **environment: str) -> Stack:
    return load_stack(file, name, home, environment)


def profile_names() -> list[str]:
    return sorted(yaml.safe_load(SHIPPED.read_text())["profiles"])


@pytest.mark.parametrize("name", profile_names())
def test_every_shipped_profile_is_complete_and_typed(name: str, tmp_path: Path) -> None:
    stack = read(SHIPPED, name, str(tmp_path))
    for port in ADAPTERS:
        assert stack.config(port).model_dump().get("kind") == stack.kind(port)


@pytest.mark.slow
@pytest.mark.parametrize("name", profile_names())
def test_the_effective_adapter_of_every_resource_is_the_one_the_profile_names(name: str, tmp_path: Path) -> None:
    stack = read(SHIPPED, name, str(tmp_path))
    effective: dict[str, object] = {}

    @dg.op(required_resource_keys=set(ADAPTERS))
    def look(context: dg.OpExecutionContext) -> None:
        effective.update({port: getattr(context.resources, port).config() for port in ADAPTERS})

    @dg.job(resource_defs=stack_resources(stack))
    def looking() -> None:
        look()

    looking.execute_in_process(instance=dg.DagsterInstance.ephemeral())
    assert effective == {port: stack.config(port) for port in ADAPTERS}


def test_paths_lie_in_the_home(tmp_path: Path) -> None:
    assert read(SHIPPED, home=str(tmp_path)).config("lake").model_dump()["path"] == f"{tmp_path}/lake"


@pytest.mark.parametrize("port", sorted(PORTS))
def test_an_adapter_named_by_its_kind_alone_keeps_what_it_writes_in_the_home(port: str, tmp_path: Path) -> None:
    needed = {"files": {"tables": {"orders": {"location": "orders.csv"}}}}
    for kind in (*PORTS[port].places, PORTS[port].default["kind"]):
        named = {port: {"kind": kind, **needed.get(kind, {})}}
        stack = read(stack_file(tmp_path, ports=named), home=str(tmp_path / "home"))
        written = {name: value for name, value in stack.config(port).model_dump().items() if name in _PLACES}
        assert set(written) == set(PORTS[port].in_home(kind)) & _PLACES
        assert all(Path(value).is_relative_to(tmp_path / "home") for value in written.values()), written


def test_a_run_that_names_another_adapter_keeps_what_it_writes_in_the_home(tmp_path: Path) -> None:
    stack = read(SHIPPED, home=str(tmp_path))
    asked = {"kind": "files", "tables": {"orders": {"location": "orders.csv"}}}
    assert adapter_of_run(stack, "source", asked, str).model_dump()["cache"] == f"{tmp_path}/cache"


def test_a_relative_home_is_relative_to_the_file(tmp_path: Path) -> None:
    assert read(stack_file(tmp_path), home="here").home == tmp_path / "here"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ports": {"source": {"kind": "simulatd"}}}, "did you mean 'simulated'"),
        ({"clendar": {}}, "clendar"),
        ({"settings": {"churn": {"population_dys": 3}}}, "settings.churn.population_dys"),
        ({"calendar": {"first_day": "soon"}}, "calendar.first_day"),
    ],
)
def test_a_wrong_profile_is_refused_with_the_place_in_words(
    tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    with pytest.raises(TesseraError, match=says):
        read(stack_file(tmp_path, **changes))


def ports_with(**changes: dict[str, object]) -> dict[str, object]:
    return {**yaml.safe_load(SHIPPED.read_text())["profiles"]["local"]["ports"], **changes}


def test_an_unknown_kind_is_answered_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match="did you mean 'simulated'"):
        read(stack_file(tmp_path, ports=ports_with(source={"kind": "simulatd"})))


def test_an_unknown_port_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match="has a port 'sauce'"):
        read(stack_file(tmp_path, ports=ports_with(sauce={"kind": "simulated"})))


def test_a_misspelt_adapter_setting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match="custmers"):
        read(stack_file(tmp_path, ports=ports_with(source={"kind": "simulated", "custmers": 5})))


def test_an_unknown_profile_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match="did you mean 'local'"):
        read(SHIPPED, "locl", str(tmp_path))


def test_a_dotted_path_is_an_adapter_too(tmp_path: Path) -> None:
    kind = "resources.source.simulated.SimulatedSourceConfig"
    stack = read(stack_file(tmp_path, ports=ports_with(source={"kind": kind, "customers": 5})))
    assert stack.config("source").model_dump()["customers"] == 5


def test_a_dotted_path_that_does_not_exist_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match="cannot be imported"):
        read(stack_file(tmp_path, ports=ports_with(lake={"kind": "nowhere.Lake"})))


def test_a_secret_stays_a_reference_until_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = read(stack_file(tmp_path, ports=ports_with(notifier={"kind": "webhook", "url": {"env": "HOOK"}})))
    assert "HOOK" in repr(stack.config("notifier"))
    monkeypatch.delenv("HOOK", raising=False)
    with pytest.raises(TesseraError, match="'HOOK' is not set"):
        stack.open("notifier")
    monkeypatch.setenv("HOOK", "http://127.0.0.1:1/hook")
    stack.open("notifier")


def test_the_url_of_a_server_may_be_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = read(stack_file(tmp_path, ports=ports_with(events={"kind": "redis", "url": {"env": "QUEUE"}})))
    assert "QUEUE" in repr(stack.config("events"))
    monkeypatch.setenv("QUEUE", "redis://:s3cr3t@127.0.0.1:1/0")
    health = stack.open("events").check()
    assert not health.ok
    assert "127.0.0.1:1/0" in health.says
    assert "s3cr3t" not in health.says + health.todo


def test_settings_of_a_child_profile_are_merged_and_its_ports_replaced(tmp_path: Path) -> None:
    document = yaml.safe_load(SHIPPED.read_text())
    child = {
        "extends": "local",
        "ports": {"source": {"kind": "simulated", "customers": 9}},
        "settings": {"ingestion": {"history_days": 11}},
    }
    document["profiles"]["child"] = child
    file = tmp_path / "stack.yaml"
    file.write_text(yaml.safe_dump(document))
    stack = read(file, "child")
    assert stack.settings.ingestion.history_days == 11
    assert stack.settings.ingestion.redelivery_days == read(SHIPPED).settings.ingestion.redelivery_days
    assert stack.config("source").model_dump()["customers"] == 9


def test_variables_have_defaults_and_are_missed_by_name(tmp_path: Path) -> None:
    file = stack_file(tmp_path, home="${SOMEWHERE:-there}")
    assert read(file).home == tmp_path / "there"
    assert read(file, SOMEWHERE="/elsewhere").home == Path("/elsewhere")
    with pytest.raises(TesseraError, match="NOT_SET"):
        read(stack_file(tmp_path, home="${NOT_SET}"))


def test_a_single_limit_of_the_fraud_gate_leaves_the_others_as_they_are() -> None:
    settings = FraudSettings.model_validate({"gate": {"min_quality": 0.2}})
    assert (settings.gate.metric, settings.gate.top_per_day, settings.gate.min_quality) == (
        "average_precision",
        100,
        0.2,
    )
