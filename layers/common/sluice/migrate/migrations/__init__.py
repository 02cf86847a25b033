"""The database's schema as SQL files, applied in order, once each: a user's own go beside them.

A file's name starts with its number. `:"ingest"` in it (psql's spelling of a variable) stands for the ingest role.
"""
