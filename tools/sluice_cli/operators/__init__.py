"""Commands for those who run a deployed stack, by the rights of whoever calls them."""
