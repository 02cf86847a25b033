-- One id may be rejected in two streams, and for another reason after a redrive: each is a row of its own, and the newest
-- one counts. The same rejection again is none: a message is received ten times before it is a dead letter.
ALTER TABLE rejection DROP CONSTRAINT rejection_pkey, ADD PRIMARY KEY (message_id, stream, reason, pointer);
GRANT SELECT (message_id) ON rejection TO :"ingest"; -- to count each once
