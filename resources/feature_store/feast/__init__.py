"""The feature store on Feast: sessions, services, materialization and online reads."""
