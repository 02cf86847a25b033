"""The whole system on one's own machine: an embedded stack, emulators, stand-ins for images, the demo."""
