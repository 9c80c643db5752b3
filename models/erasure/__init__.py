"""Erasure of personal data: tombstones by keyed digest, and the record of what was removed."""
