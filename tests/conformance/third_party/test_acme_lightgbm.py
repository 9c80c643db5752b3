from acme_lightgbm.trainer import LightGBMTrainerConfig

from resources.conformance import TrainerConformance


class TestLightGBM(TrainerConformance):
    config = LightGBMTrainerConfig
    trusted = ("acme_lightgbm",)
    settings = {"rounds": 30, "leaves": 4}  # noqa: RUF012
