"""Real texts are tickets by configuration alone: the profile of the documentation reads Banking77."""

import re
from datetime import date
from pathlib import Path

import pytest

from models.contracts import CONTRACTS
from models.contracts.checking import check_rows
from resources.stack.loader import ROOT, load_stack


@pytest.mark.slow
def test_the_documented_profile_reads_banking77_as_tickets_and_labels(shared_data: Path, tmp_path: Path) -> None:
    text = re.search(
        r"```yaml\n(profiles:.*?)```", (ROOT / "docs" / "support-tickets.md").read_text(encoding="utf-8"), re.S
    )
    assert text is not None
    (tmp_path / "stack.yaml").write_text(text[1], encoding="utf-8")
    known = {"TESSERA_DATA_DIR": str(shared_data / "banking77"), "TESSERA_HOME": str(tmp_path / "home")}
    source = load_stack(tmp_path / "stack.yaml", "banking77", None, known).open("source")
    assert source.tables() == {"tickets", "ticket_labels"}
    kept = {}
    for table in sorted(source.tables()):
        checked = check_rows(CONTRACTS[table], source.read(table, date(2026, 1, 1), date(2026, 3, 1)).read_all())
        assert checked.reasons == {}
        kept[table] = checked.kept
    assert kept["tickets"].num_rows == kept["ticket_labels"].num_rows == 10_003
    assert len(kept["ticket_labels"]["intent"].unique()) == 77
    assert len(kept["tickets"]["delivered_on"].unique()) == 60
