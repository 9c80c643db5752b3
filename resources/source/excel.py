"""Rows of an Excel workbook as records of texts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.errors import choose_from
from resources.source.csv_records import Record
from resources.source.formats import Format, broken
from resources.source.workbook_size import check_size

#: Excel keeps 15 digits of a number.
_EXACT_BELOW = 10.0**15


def sheet_records(file: Path, form: Format) -> Iterator[Record]:
    """Yield the records of one sheet, its header first; empty rows are none, numbers are those that Excel shows.

    Raises:
        TesseraError: no workbook, or no such sheet.
    """
    import python_calamine as calamine

    check_size(file)
    try:
        with calamine.CalamineWorkbook.from_path(file) as workbook:
            name = form.sheet or (workbook.sheet_names[0] if workbook.sheet_names else "")
            if name not in workbook.sheet_names:
                raise broken(file, "xlsx", f"it has no sheet {name!r}, only {choose_from(name, workbook.sheet_names)}")
            rows = workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except (calamine.CalamineError, OSError) as error:
        raise broken(file, "xlsx", str(error).rstrip(".")) from error
    filled = [(number, row) for number, row in enumerate(rows, 1) if any(cell not in ("", None) for cell in row)]
    width = _width(filled[0][1]) if filled else 0
    for number, row in filled:
        fields = [_text(cell) for cell in row]
        beyond = [field for field in fields[width:] if field]
        problem = f"row {number} has values beyond the header's {width} columns" if beyond else ""
        yield Record(number, fields if beyond else fields[:width], problem, "\t".join(fields) if problem else "")


def other_sheets(file: Path, form: Format) -> list[str]:
    """Names of the workbook's sheets that are not read."""
    import python_calamine as calamine

    with calamine.CalamineWorkbook.from_path(file) as workbook:
        names = workbook.sheet_names
    return [name for place, name in enumerate(names) if (name != form.sheet if form.sheet else place)]


def _width(header: list[Any]) -> int:
    return max(place for place, cell in enumerate(header, 1) if cell not in ("", None))


def _text(cell: Any) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return str(cell).lower()
        case float() if cell.is_integer() and abs(cell) < _EXACT_BELOW:
            return str(int(cell))
        case float() if abs(cell) >= _EXACT_BELOW:
            return f"{cell:.14E}"  # its last digits are lost: no id can be made of it
        case _:
            return str(cell)
