"""The state store port and its adapters, which keep alerts as well."""
