"""`sluice new`: samples in; a declaration, its table, examples, an event and a word in the template out."""
