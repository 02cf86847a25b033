-- What was done once: the answer to a COMMIT can be lost, and then whoever tries again must learn that it was done.
-- A row is written in the transaction of what it stands for. After a day it means nothing, and a deployment deletes it.
CREATE TABLE operation (
    id uuid        PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
);

GRANT INSERT (id) ON operation TO :"reveal", :"forget", :"rekey", :"dead_letters";
