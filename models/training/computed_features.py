"""Features that a release computes, beside those that a model was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.errors import OtherRelease
from models.training.encoding import Encoder
from models.training.model_package import ModelCard, described


@dataclass(frozen=True)
class ComputedFeatures:
    """Features that this release computes for an application.

    Attributes:
        version: of their definitions, as model cards name it.
        names: columns, numbers and texts.
    """

    version: str
    names: tuple[str, ...]

    def check(self, encoder: Encoder, card: ModelCard) -> None:
        """Check that a model reads these features.

        Raises:
            OtherRelease: it needs one that is not computed, or was trained on another version of them.
        """
        needed = (*encoder.numeric, *encoder.categories)
        missing = [name for name in needed if name not in self.names]
        if missing:
            raise OtherRelease(
                f"The model reads {len(missing)} features that are no longer computed, e.g. {missing[0]!r}.",
                expected=f"the {len(self.names)} features of {self.version}",
                todo=f"Run `tessera run {card.app}_nightly`, which trains a new one.",
            )
        if card.feature_version != self.version:
            raise OtherRelease(
                f"The model was trained on features of version {card.feature_version!r}, and {self.version!r} is "
                "computed.",
                expected=f"a model of {self.version}",
                todo=f"Run `tessera run {card.app}_nightly`, which trains a new one.",
            )

    def check_package(self, folder: Path) -> None:
        """Check the same of a package, without reading the model.

        Raises:
            OtherRelease: as for `check`.
            TesseraError: the package's description cannot be read.
        """
        self.check(*described(folder))
