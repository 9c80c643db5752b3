import pytest
from folder_lake import FolderLakeConfig

from resources.conformance import LakeConformance


class TestFolderLake(LakeConformance):
    config = FolderLakeConfig

    @pytest.fixture
    def lake(self, tmp_path):
        return FolderLakeConfig(path=str(tmp_path / "lake")).open()
