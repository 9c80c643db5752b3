"""Import Feast for the processes that a fork server starts, as quickly as the product does."""

from resources.feature_store.feast.session import load_feast

load_feast()
