"""The streams that the tests declare: those that Sluice ships may be changed or removed."""
