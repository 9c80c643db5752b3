"""A model for each output contract, with its types and limits."""

from typing import get_args

import pytest
from pydantic import ValidationError

from models.scoring.output import OutputColumn, OutputContract, OutputType
from pipelines.service.row_models import column_type, row_model
from resources.conformance.score_sets import OUTPUTS, some_rows


def test_every_type_of_a_contract_has_one_here() -> None:
    assert all(column_type(OutputColumn("x", kind)) is not None for kind in get_args(OutputType))


@pytest.mark.parametrize("contract", OUTPUTS.values(), ids=OUTPUTS)
def test_published_rows_fit_and_wrong_ones_do_not(contract: OutputContract) -> None:
    model, names = row_model("some", contract), [one.name for one in (*contract.keys, *contract.payload)]
    for row in some_rows(1, 5, contract).select(names).to_pylist():
        assert model.model_validate(row).model_dump() == row
        with pytest.raises(ValidationError):
            model.model_validate({**row, contract.score: -1 if contract.column(contract.score).at_least == 0 else None})
