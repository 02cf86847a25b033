"""The streams, one module each: a user's own goes beside them."""
