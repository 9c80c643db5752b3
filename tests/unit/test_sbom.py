"""The bill of materials names every package of a lock, with its hashes, and nothing of this machine."""

import json
import re
from hashlib import sha256
from pathlib import Path

import pytest

from models.errors import TesseraError
from pipelines.docs.sbom import bill_of, pinned

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("lock", sorted(ROOT.glob("requirements/*.lock")), ids=lambda file: file.name)
def test_it_names_every_package_of_the_lock(lock: Path) -> None:
    text = lock.read_text()
    packages = list(pinned(text))
    assert len(packages) == len(re.findall(r"^[a-zA-Z0-9].*==", text, re.MULTILINE)) > 50
    assert sum(len(one.hashes) for one in packages) == text.count("--hash=sha256:")


@pytest.mark.slow
def test_it_is_the_same_each_time_and_names_no_index() -> None:
    packages = list(pinned((ROOT / "requirements/core.lock").read_text()))
    bill = json.dumps(bill_of(packages, "core.lock"))
    again = json.dumps(bill_of(packages[::-1], "core.lock"))
    assert sha256(bill.encode()).digest() == sha256(again.encode()).digest()
    assert not re.findall(r"https?://.{30}|/work.{30}", bill)
    dagster = next(one for one in json.loads(bill)["components"] if one["name"] == "dagster")
    assert re.fullmatch(r"pkg:pypi/dagster@[\d.]+", dagster["purl"])
    assert dagster["licenses"] == [{"license": {"name": "Apache-2.0"}}]


@pytest.mark.parametrize("line", ["dagster>=1", "dagster==1.0", "-e ."])
def test_what_is_not_pinned_is_refused(line: str) -> None:
    with pytest.raises(TesseraError, match="without version or SHA-256"):
        list(pinned(f"a==1 \\\n    --hash=sha256:{'0' * 64}\n{line}\n"))
