"""Commands for those who declare streams: nothing is deployed, nothing outside this machine is asked."""
