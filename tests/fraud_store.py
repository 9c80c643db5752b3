"""The state of the fraud stream with the alerts beside it, as tests look at both through one object."""

from pathlib import Path
from typing import Any

from assets.fraud.stream.state import FraudState
from models.fraud.stream_state import FRAUD_STATE
from resources.state_store.port import ErasableStateStore, StateStore
from resources.state_store.sqlite_state_store import SqliteStateStore


class FraudStore(FraudState):
    """The state; what it does not have itself is asked of its store's alerts."""

    def __init__(self, where: Path | StateStore) -> None:
        super().__init__(where if isinstance(where, StateStore) else SqliteStateStore(where))

    def erase(self, customer_id: str) -> int:
        """Return the number of records removed."""
        assert isinstance(self.store, ErasableStateStore)
        return self.store.erase(FRAUD_STATE, "customer_id", customer_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store.alerts_beside, name)
