"""The function rekey: new token keys, the tokens brought to them, data keys brought to another KMS key."""
