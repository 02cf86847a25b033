-- The second step of 0010: what is there already is shared.

ALTER TABLE pii_vault VALIDATE CONSTRAINT is_shared;
