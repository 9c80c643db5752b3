"""Models that were made elsewhere: what they take and give, and what is known of them."""
