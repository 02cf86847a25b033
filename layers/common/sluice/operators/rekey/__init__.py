"""The function rekey: it adds token keys, brings tokens to the current one, and moves data keys to another KMS key.

Four things are called keys. A token key makes tokens; the keyset is all token keys, in one secret. A data key seals
values of the vault. A KMS key never leaves KMS: it wraps the data keys.
"""
