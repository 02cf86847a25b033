"""The console: a page on one's own machine that shows a stack at work, and lets one play with the embedded one.

Nothing imports it: `sluice console` and `make demo ARGS=--console` start it as a program of its own.
"""
