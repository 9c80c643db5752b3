"""Adapters that an installed package offers are named, listed and launched like Tessera's own."""

import sys
from pathlib import Path
from textwrap import dedent

import dagster as dg
import pytest
import yaml

from models.errors import TesseraError
from pipelines.docs.adapters import adapters_page
from pipelines.docs.pages import pages
from resources.embedder.hashed import HashedEmbedderAdapter
from resources.stack.adapters import adapter_class, kinds_of
from resources.stack.loader import Stack, load_stack
from resources.stack.ports import stack_resources

CODE = """
    import dagster as dg
    from resources.notifier.log import LogNotifierConfig
    from resources.trainer.logistic_regression import LogisticRegressionTrainerConfig

    class Pager(tuple):
        def check(self):
            return None

        def notify(self, level, subject, body, context):
            return None

    class PagerConfig(dg.Config):
        "Pages whoever is on duty."
        team: str
        urgent: bool = False

        def open(self):
            return Pager(("pager", self.team, self.urgent))

    class PlainTrainerConfig(LogisticRegressionTrainerConfig):
        "Ours under another name."
"""


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution whose module is not imported yet."""
    _install(tmp_path, "acme_adapters", {"tessera.notifier": "pager", "tessera.trainer": "plain"})
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "acme_adapters", raising=False)
    return tmp_path


def _install(folder: Path, package: str, groups: dict[str, str]) -> None:
    classes = {"pager": "PagerConfig", "plain": "PlainTrainerConfig", "log": "PagerConfig"}
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    entries = [f"[{group}]\n{kind} = {package}:{classes[kind]}\n" for group, kind in groups.items()]
    (info / "entry_points.txt").write_text("\n".join(entries))
    (folder / f"{package}.py").write_text(dedent(CODE))


def stack_with(folder: Path, notifier: dict[str, object]) -> Stack:
    file = folder / "stack.yaml"
    file.write_text(yaml.safe_dump({"profiles": {"mine": {"ports": {"notifier": notifier}}}}))
    return load_stack(file, None, None, {})


def test_a_profile_names_it_by_its_kind(offered: Path) -> None:
    stack = stack_with(offered, {"kind": "pager", "team": "data"})
    assert stack.open("notifier") == ("pager", "data", False)
    assert stack.kind("notifier") == "pager"


def test_its_settings_are_checked_with_file_and_line(offered: Path) -> None:
    with pytest.raises(TesseraError, match=r"stack.yaml:\d+: `mine.ports.notifier.taem` is no setting.*'team'"):
        stack_with(offered, {"kind": "pager", "taem": "data"})


def test_only_its_name_is_read_while_nobody_asks_for_it(offered: Path) -> None:
    stack = stack_with(offered, {"kind": "log", "path": "notices.jsonl"})
    stack_resources(stack)
    assert "pager" in kinds_of("notifier")
    with pytest.raises(TesseraError, match=r"'apprise', 'log', 'pager', 'webhook'.*did you mean 'pager'"):
        stack_with(offered, {"kind": "pagr"})
    assert "acme_adapters" not in sys.modules


def test_a_run_can_be_given_it_in_the_launchpad(offered: Path) -> None:
    stack = stack_with(offered, {"kind": "log", "path": "notices.jsonl"})
    resource = stack_resources(stack)["notifier"]
    assert "pager" in str(resource.resource_cls.model_fields["kind"].description)
    seen: list[object] = []

    @dg.op(required_resource_keys={"notifier"})
    def look(context: dg.OpExecutionContext) -> None:
        seen.append(context.resources.notifier.open().receiver)

    @dg.job(resource_defs={"notifier": resource})
    def looking() -> None:
        look()

    run = {"resources": {"notifier": {"config": {"kind": "pager", "team": "night", "urgent": True}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        looking.execute_in_process(run_config=run, instance=instance)
    assert seen == [("pager", "night", True)]


@pytest.mark.usefixtures("offered")
def test_the_generated_pages_list_it() -> None:
    assert "`pager`" in adapters_page()
    assert "| the port's promises | ✓ | ✓ | ✓ | its package |" in adapters_page()
    page = pages()["stack.md"]
    assert "`notifier: {kind: pager}`" in page
    assert "Pages whoever is on duty." in page
    assert "`candidates: [{kind: plain}]`" in page


@pytest.mark.usefixtures("offered")
def test_a_trainer_is_a_candidate_by_its_kind() -> None:
    assert adapter_class("trainer", "plain").__name__ == "PlainTrainerConfig"


def test_a_name_of_ours_stays_ours(offered: Path) -> None:
    _install(offered, "acme_log", {"tessera.notifier": "log"})
    sys.path.append(str(offered / "again"))  # another path: installed packages are looked for again
    try:
        assert adapter_class("notifier", "log").__module__ == "resources.notifier.log"
        assert kinds_of("notifier").count("log") == 1
    finally:
        sys.path.remove(str(offered / "again"))


def test_two_packages_with_one_name_are_told_apart_by_their_paths(offered: Path) -> None:
    _install(offered, "other_adapters", {"tessera.notifier": "pager"})
    sys.path.append(str(offered / "again"))
    try:
        with pytest.raises(TesseraError, match="acme_adapters and other_adapters both offer") as raised:
            adapter_class("notifier", "pager")
        assert "other_adapters.PagerConfig" in raised.value.todo
    finally:
        sys.path.remove(str(offered / "again"))


class OpensNothing(dg.Config):
    """A config whose author forgot what `open` returns; it needs no `kind` of its own."""

    path: str = ""

    def open(self) -> None:
        return None


class OpensAnEmbedderWithoutItsGuard(dg.Config):
    """Adapters of embedders and language models are handed over inside their guard."""

    path: str = ""

    def open(self) -> object:
        return HashedEmbedderAdapter(16)


@pytest.mark.parametrize(
    ("port", "kind", "says"),
    [
        ("sink", f"{__name__}.OpensNothing", r"opens a NoneType, which has no `audits`, `check`, `history` and 7 more"),
        ("sink", "resources.notifier.log.LogNotifierConfig", r"opens a LogNotifier, which has no `audits`, `history`"),
        ("embedder", f"{__name__}.OpensAnEmbedderWithoutItsGuard", r"Adapter, which has no `embed`, `keep_costs`"),
    ],
)
def test_a_config_that_opens_no_adapter_of_the_port_is_named(tmp_path: Path, port: str, kind: str, says: str) -> None:
    ports = {port: {"kind": kind, "path": f"{tmp_path}/x"}}
    (tmp_path / "stack.yaml").write_text(yaml.safe_dump({"profiles": {"mine": {"home": "home", "ports": ports}}}))
    stack = load_stack(tmp_path / "stack.yaml", None, None, {})
    with pytest.raises(TesseraError, match=says):
        stack.open(port)
