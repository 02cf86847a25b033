-- What identifies a person who was erased, as a token of each domain that it has: a record of somebody else that holds it
-- does not have it sealed again.
CREATE TABLE erased_value (
    token  varchar(256) PRIMARY KEY,
    domain varchar(64)  NOT NULL
);

CREATE INDEX ON erased_value (domain);

GRANT SELECT ON erased_value TO :"ingest";
GRANT SELECT, INSERT ON erased_value TO :"forget";
GRANT SELECT, INSERT, DELETE ON erased_value TO :"rekey";
