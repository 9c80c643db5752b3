"""Recipe of a model: trainer and settings, so that the same settings can be trained on other rows."""

from typing import Any

from pydantic import BaseModel, ConfigDict

#: File of the model package.
RECIPE = "recipe.json"


class Recipe(BaseModel):
    """The evaluated settings of a model.

    Attributes:
        trainer: kind of the trainer (`xgboost`), or the dotted path of a third party's config class.
        settings: of the trainer, as its config class takes them; a secret stays `{"env": NAME}`.
        chosen: what training itself chose, e.g. `{"rounds": "87"}`; a refit on more rows keeps it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trainer: str
    settings: dict[str, Any]
    chosen: dict[str, str] = {}

    def same_settings(self, other: "Recipe | None") -> bool:
        """Return True if both name the same trainer and settings, whatever values training chose."""
        return other is not None and (self.trainer, self.settings) == (other.trainer, other.settings)
