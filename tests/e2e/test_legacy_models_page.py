"""The commands of the worked example of docs/legacy-models.md, one after the other, on a small home."""

import json
import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from shop_home import DAY, FIRST_DAY, Home

from resources.stack.loader import ROOT

PAGE = (ROOT / "docs/legacy-models.md").read_text().partition("## A worked example")[2]


def commands(home: Home, folder: Path, champion: str, imported: str) -> Iterator[list[str]]:
    """The page's commands, with the days, the versions and the folder of this home."""
    horizon = home.opened().settings.churn.horizon_days
    cutoff = DAY - timedelta(days=2 * horizon + 1)
    days = {f"2026-03-0{n}": (DAY + timedelta(days=n - 1)).isoformat() for n in (1, 2, 3)}
    words = {**days, "2025-08-31": max(cutoff, FIRST_DAY + timedelta(days=20)).isoformat(), "90": str(horizon)}
    words |= {"3": champion, "4": imported, "old": str(folder)}
    for block in re.findall(r"```bash\n(.*?)```", PAGE, flags=re.S):
        for line in block.splitlines():
            found = shlex.split(line, comments=True)
            yield [words.get(one, one.replace("old/", f"{folder}/")) for one in found]


@pytest.mark.slow
def test_the_old_script_is_imported_gated_put_beside_killed_and_replaced(home: Home, tmp_path: Path) -> None:
    folder, said = tmp_path / "old", list[str]()
    before = json.loads(home.tessera("models", "churn", "--json").out)
    champion = before["ledger"][-1]["to_version"]
    imported = str(max(int(one["version"]) for one in before["versions"]) + 1)
    for program, *arguments in commands(home, folder, champion, imported):
        if arguments[0] in ("run", "scores"):
            continue  # tests/stages/test_replacements.py has the nights, which take longer than all the rest
        if program == "mkdir":
            folder.mkdir()
        elif program == "cp":
            page = (ROOT / arguments[0]).read_text()
            until = DAY - timedelta(days=home.opened().settings.churn.horizon_days)
            Path(arguments[1]).write_text(re.sub(r"trained_until: \S+", f"trained_until: {until}", page))
        elif program.endswith("python"):
            said.append(home.process(*arguments, program="python").out)
        elif ("import" in arguments and "--run-in" not in arguments) or "raise" in arguments:
            said.append(home.tessera(*arguments, code=2).err)
        else:
            code = 1 if "--run-in" in arguments else 0
            said.append(home.tessera(*arguments, code=code).out)
    told = "\n".join(said)
    assert "sklearn.ensemble._gb.GradientBoostingClassifier" in told
    assert f"Version {imported} of churn was stopped by the gate" in told
    assert f"version {imported} is published" in told
    assert "0 rows scored by both" in told
    after = json.loads(home.tessera("replace", "show", "churn", "--json").out)
    assert [one["action"] for one in after["decisions"]] == ["start", "kill", "start"]
    assert after["running"] is None, "the promotion ended it"
    assert json.loads(home.tessera("models", "churn", "--json").out)["ledger"][-1]["to_version"] == champion
