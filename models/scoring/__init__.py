"""How a day is scored, explained, audited and watched for drift."""
