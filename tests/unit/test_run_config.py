"""The launchpad speaks the language of `stack.yaml`: `kind` and the adapter's settings under the port's name."""

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from models.errors import TesseraError
from pipelines.definitions import build_definitions
from resources.stack.loader import ROOT, Stack, load_stack
from resources.stack.ports import stack_resources
from resources.stack.table import PORTS


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return load_stack(ROOT / "stack.yaml", None, str(tmp_path), {})


def configs_in_a_run(stack: Stack, config: Any = None) -> dict[str, Any]:
    """Each port's config as a step gets it, and the settings."""
    seen: dict[str, Any] = {}

    @dg.op(required_resource_keys={*PORTS, "settings"})
    def look(context: dg.OpExecutionContext) -> None:
        seen.update({port: getattr(context.resources, port).config() for port in PORTS})
        seen.update(opened={port: getattr(context.resources, port).open() for port in ("sink", "notifier", "engine")})
        seen.update(settings=context.resources.settings.open())

    @dg.job(resource_defs=stack_resources(stack))
    def looking() -> None:
        look()

    with dg.DagsterInstance.ephemeral() as instance:
        looking.execute_in_process(run_config=config, instance=instance)
    return seen


@pytest.mark.slow
def test_the_example_of_the_documentation_is_what_the_launchpad_takes(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs" / "swapping.md").read_text()
    (block,) = re.findall(r"```yaml\n(resources:\n.*?)```", text, re.DOTALL)
    example = yaml.safe_load(block)
    nightly = build_definitions(stack).resolve_job_def("churn_nightly")
    assert dg.validate_run_config(nightly, example)
    monkeypatch.setenv("TEAM_HOOK", "http://127.0.0.1:1/hook")
    found = configs_in_a_run(stack, example)
    assert found["opened"]["notifier"].check().says.startswith("notices are posted to ")
    assert found["sink"].path == f"{tmp_path}/trial/scores"
    assert (found["engine"].memory_limit_mb, found["engine"].threads) == (500, 2)
    assert found["settings"].churn.scoring.contact_budget == 50
    assert found["lake"] == stack.config("lake")


@pytest.mark.slow
@pytest.mark.parametrize("port", PORTS)
def test_the_block_of_any_port_in_the_stack_file_is_its_config(stack: Stack, port: str) -> None:
    blocks = yaml.safe_load((ROOT / "stack.yaml").read_text())["profiles"]["local"]["ports"]
    block = blocks.get(port) or blocks.get(PORTS[port].follows) or dict(PORTS[port].default)
    found = configs_in_a_run(stack, {"resources": {port: {"config": block}}})
    assert {name: found[name] for name in PORTS} == {name: stack.config(name) for name in PORTS}


def test_the_launchpad_shows_the_kind_and_every_setting_of_each_port(stack: Stack) -> None:
    shown = dg.validate_run_config(build_definitions(stack).resolve_job_def("churn_nightly"))["resources"]
    for port in ("source", "lake", "engine", "registry", "sink", "notifier"):
        assert shown[port]["config"]["kind"] == stack.kind(port)
        settings = {name for name in stack.config_class(port).model_fields if name != "kind"}
        assert settings <= shown[port]["config"].keys()


@pytest.mark.slow
def test_another_kind_begins_anew(stack: Stack) -> None:
    kind = "resources.sink.delta.DeltaSinkConfig"
    with pytest.raises(TesseraError, match=r"`ports.sink.path` is not given"):
        configs_in_a_run(stack, {"resources": {"sink": {"config": {"kind": kind}}}})
    events = {"kind": "postgres", "url": "postgresql://127.0.0.1:1/none"}
    found = configs_in_a_run(stack, {"resources": {"events": {"config": events}}})
    assert type(found["events"]).__name__ == "PostgresEventsConfig"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("port", "config", "what", "expected"),
    [
        ("sink", {"kind": "detla"}, "There is no adapter 'detla' for port 'sink'", "did you mean 'delta'"),
        ("sink", {"pth": "x"}, "`ports.sink.pth` is no setting", "did you mean 'path'"),
        ("notifier", {"kind": "webhook"}, "`ports.notifier.url` is not given", "no default"),
        ("notifier", {"kind": "log", "path": 5}, "`ports.notifier.path` is 5", "text"),
        ("engine", {"threads": 0}, "`ports.engine.threads` is 0", "docs/stack.md"),
        ("lake", {"path": "${NOWHERE}"}, "${NOWHERE} is not set", "NOWHERE"),
        ("lake", {"kind": "os.path.join"}, "no config class", "dagster.Config"),
    ],
)
def test_a_wrong_adapter_of_a_run_is_told_in_three_parts(
    stack: Stack, port: str, config: Any, what: str, expected: str
) -> None:
    with pytest.raises(TesseraError) as raised:
        configs_in_a_run(stack, {"resources": {port: {"config": config}}})
    assert what in raised.value.what
    assert expected in raised.value.expected
    assert raised.value.todo


@pytest.mark.slow
def test_a_secret_of_a_run_stays_a_reference_until_it_is_opened(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM_HOOK", "http://127.0.0.1:1/s3cr3t")
    found = configs_in_a_run(
        stack, {"resources": {"notifier": {"config": {"kind": "webhook", "url": {"env": "TEAM_HOOK"}}}}}
    )
    assert "s3cr3t" not in repr(found["notifier"])
    monkeypatch.delenv("TEAM_HOOK")
    with pytest.raises(TesseraError, match="'TEAM_HOOK' is not set"):
        configs_in_a_run(
            stack, {"resources": {"notifier": {"config": {"kind": "webhook", "url": {"env": "TEAM_HOOK"}}}}}
        )
