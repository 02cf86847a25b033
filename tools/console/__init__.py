"""The console: a page on one's own machine that shows a stack at work, and lets one play with the embedded one."""
