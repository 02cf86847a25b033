#!/bin/sh
# Makes the database where there is none yet, then becomes the server.
set -eu
data=/var/lib/postgresql/18/docker
as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }

if [ ! -s "$data/PG_VERSION" ]; then
    mkdir -p "$data"
    chown -R postgres:postgres /var/lib/postgresql
    (umask 077; printf '%s' "$POSTGRES_PASSWORD" >/tmp/password; chown postgres /tmp/password)
    as_postgres initdb --pgdata="$data" --username=postgres --pwfile=/tmp/password --auth=scram-sha-256 --encoding=UTF8
    rm /tmp/password
    echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
    echo "CREATE DATABASE \"$POSTGRES_DB\"" | as_postgres postgres --single -D "$data" postgres
fi
exec setpriv --reuid=postgres --regid=postgres --clear-groups postgres -D "$data" -c "listen_addresses=*"
