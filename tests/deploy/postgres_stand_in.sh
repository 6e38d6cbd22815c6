#!/bin/sh
# A stand-in for docker-entrypoint.sh of the image postgres, with as much of it as compose.yaml relies on: an empty
# volume gets a cluster with the password in POSTGRES_PASSWORD_FILE, and the scripts in
# docker-entrypoint-initdb.d run before anything is reachable by TCP.
set -eu
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" /run/postgresql
    chown -R postgres:postgres "$PGDATA" /run/postgresql
    chmod 700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --username=postgres --pwfile="$POSTGRES_PASSWORD_FILE" --auth=trust --encoding=UTF8
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    pg_ctl --wait --options="-c listen_addresses=''" start
    for script in /docker-entrypoint-initdb.d/*.sh; do
        "$script"
    done
    pg_ctl --wait --mode=fast stop
fi
exec postgres -c "listen_addresses=*" "$@"
