"""Units of delivery are found again wherever their bytes are, each in one file; a move alone makes nothing new."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from resources.source.units import FreshFile, Unit, recognise, unit_of

LINES = st.lists(st.sampled_from("ab"), max_size=3)
NAMES = st.integers(0, 3)
MOVES = st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=3)
WRITES = st.tuples(st.sampled_from(["write", "append"]), NAMES, LINES)


def rows_of(file: Path, first: int | None) -> tuple[int, int, int]:
    """Place of the first and the last row from `first` on, and their number; the first line is a header."""
    last = len(file.read_text().splitlines()) - 1
    begin = max(first or 0, 1)
    return (begin, last, last - begin + 1) if last >= begin else (first or 0, (first or 0) - 1, 0)


def new_unit(file: FreshFile) -> Unit:
    return unit_of(file, *rows_of(file.path, file.first_row))


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(WRITES | MOVES, min_size=1, max_size=7))
def test_every_row_of_every_file_is_covered_once_and_moves_make_nothing_new(
    steps: list[tuple[str, int, list[str]] | list[tuple[int, int]]],
) -> None:
    with TemporaryDirectory() as place:
        folder, known = Path(place), list[Unit]()
        for number, step in enumerate(steps):
            moved = isinstance(step, list)
            if isinstance(step, list):
                for source, target in step:
                    if (folder / f"{source}.csv").exists() and not (folder / f"{target}.csv").exists():
                        (folder / f"{source}.csv").rename(folder / f"{target}.csv")
            else:
                kind, name, lines = step
                file = folder / f"{name}.csv"
                text = file.read_text() if kind == "append" and file.exists() else "header\n"
                file.write_text(text + "".join(f"{line}\n" for line in lines))
                os.utime(file, ns=(number, number))
            files = {file.name: file for file in folder.iterdir()}
            present, fresh = recognise(files, known, grows=dict.fromkeys(files, True))
            assert not (moved and fresh), fresh
            new = {new_unit(file): file.path for file in fresh}
            for path in files.values():
                covered = sum(unit.rows for unit, of in {**present, **new}.items() if of == path)
                assert covered == rows_of(path, None)[2], path
            known += new
