"""The registry of metrics: names as Prometheus wants them, a bound on series; rules and dashboards name no other."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.metrics import METRICS, MOST_SERIES, sample, within_limit
from pipelines.docs.metrics import metrics_page
from resources.metric_files import Samples, exposition
from resources.stack.loader import ROOT

PLACE = ROOT / "deploy" / "observability"
RULES = PLACE / "tessera.rules.yml"
NAME = re.compile(r"\btessera_[a-z0-9_]+")
RECORDED = re.compile(r"\btessera:[a-z0-9_:]+")


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("promtool is missing in CI")
        pytest.skip("promtool is not installed (Debian package prometheus)")
    return found


def checked(*arguments: str, text: str = "") -> str:
    done = subprocess.run([promtool(), *arguments], cwd=PLACE, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_names_and_labels_are_those_of_prometheus() -> None:
    for name, metric in METRICS.items():
        assert re.fullmatch(r"tessera_[a-z0-9_]+", name)
        assert name.endswith("_total") is (metric.kind == "counter"), name
        assert metric.help.endswith("."), name
        assert not set(metric.labels) & {"customer", "entity", "id", "path", "run_id"}


@pytest.mark.parametrize(
    ("name", "labels"),
    [("tessera_run_second", {"job": "a"}), ("tessera_run_seconds", {}), ("tessera_run_seconds", {"id": "a"})],
)
def test_a_sample_outside_of_the_registry_is_a_bug(name: str, labels: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match="registry"):
        sample(name, 1, **labels)


def test_series_beyond_the_limit_are_counted_and_not_exposed() -> None:
    many = [sample("tessera_run_seconds", 1, job=f"job {number}") for number in range(MOST_SERIES + 3)]
    kept, left_out = within_limit([*many, sample("tessera_run_succeeded", 1, job="a")])
    assert (len(kept), kept[-1].name) == (MOST_SERIES + 1, "tessera_run_succeeded")
    assert left_out == [sample("tessera_series_left_out", 3, metric="tessera_run_seconds")]


def test_rules_and_dashboards_name_metrics_of_the_registry_only() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    boards = [json.loads(file.read_text()) for file in sorted((PLACE / "dashboards").glob("*.json"))]
    shown = [target["expr"] for board in boards for panel in board["panels"] for target in panel["targets"]]
    exposed = {name.removesuffix("_bucket").removesuffix("_count") for one in shown for name in NAME.findall(one)}
    asked = {name for rule in rules() for name in NAME.findall(rule["expr"])}
    asked = {name.removesuffix("_bucket").removesuffix("_count") for name in asked}
    assert exposed | asked <= set(METRICS)
    assert {name for rule in rules() for name in RECORDED.findall(rule["expr"])} <= recorded
    assert {name for one in shown for name in RECORDED.findall(one)} <= recorded
    assert set(METRICS) - exposed - asked == {"tessera_run_last_end_timestamp_seconds"}


def test_labels_that_rules_and_dashboards_select_by_are_those_of_the_metric() -> None:
    texts = [rule["expr"] for rule in rules()] + [(PLACE / "dashboards" / "nights.json").read_text()]
    for name, selector in re.findall(r"(tessera_[a-z0-9_]+)\{([^}]*)\}", "\n".join(texts)):
        metric = METRICS[name.removesuffix("_bucket")]
        names = set(re.findall(r"([a-z_]+)\s*(?:=~|!=|!~|=)", selector)) - {"le"}
        assert names <= set(metric.labels), (name, selector)


def test_every_alert_leads_to_a_section_of_the_runbook_and_is_tested() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "docs" / "runbook.md").read_text(), re.M)
    sections = {f"docs/runbook.md#{title.lower().replace(' ', '-')}" for title in headings}
    alerts = {rule["alert"]: rule for rule in rules() if "alert" in rule}
    assert {rule["annotations"]["runbook_url"] for rule in alerts.values()} <= sections
    tested = (PLACE / "tessera.tests.yml").read_text()
    silent = {name for name in alerts if f"alertname: {name}}}" in tested}
    fires = {name for name in alerts if f'"{name}"' in tested or f"alertname: {name}\n" in tested}
    assert silent == fires == set(alerts)


def test_the_page_has_every_metric() -> None:
    assert all(f"`{name}`" in metrics_page() for name in METRICS)


@pytest.mark.slow
def test_promtool_accepts_rules_and_config_and_the_rules_do_what_they_say() -> None:
    assert "SUCCESS" in checked("check", "rules", RULES.name)
    assert "SUCCESS" in checked("check", "config", "prometheus.yml")
    assert "SUCCESS" in checked("test", "rules", "tessera.tests.yml")


@pytest.mark.slow
def test_promtool_accepts_the_exposition_of_every_metric() -> None:
    samples = [
        sample(name, 1, **dict.fromkeys(one.labels, "a")) for name, one in METRICS.items() if one.kind != "histogram"
    ]
    text = exposition(Samples(samples)).decode()
    assert all(f"\n{one.name}{{" in text or f"\n{one.name} " in text for one in samples)
    assert checked("check", "metrics", text=text) == ""


def test_the_folder_has_nothing_else() -> None:
    names = {str(file.relative_to(PLACE)) for file in PLACE.rglob("*") if file.is_file()}
    rest = {"prometheus.yml", "tessera.rules.yml", "tessera.tests.yml"}
    assert names == rest | {str(Path("dashboards") / name) for name in ("nights.json", "service.json")}
