"""Commands for those who run a deployed stack, with the rights of the caller."""
