"""Pseudonyms: the keyset, the tokens that it makes, and what the database remembers of its token keys."""
