#!/bin/sh
# One database and one role for each service; no role has access to another's database. PostgreSQL's
# image runs it once, on an empty volume. Run again, it adds what is missing and sets the passwords
# anew:
#
#   docker compose exec postgres /docker-entrypoint-initdb.d/roles.sh
set -eu

secrets=${SECRETS:-/run/secrets}

run() {
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" \
        --dbname postgres "$@"
}

# Before anything is changed: of an empty password PostgreSQL makes none, and rejects the role from then on.
for service in postgres order invoice shipping; do
    if [ -z "$(cat "$secrets/$service-password")" ]; then
        echo "roles.sh: the file $service-password is empty. Remove it, run deploy/secrets.sh, create the" \
            "container anew, and run this script in it" >&2
        exit 1
    fi
done

run --command 'REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC'
# The image sets that of its own user on an empty volume alone.
PASSWORD_FILE=$secrets/postgres-password run <<'SQL'
\set password `cat "$PASSWORD_FILE"`
ALTER ROLE CURRENT_USER PASSWORD :'password';
SQL
for service in order invoice shipping; do
    # By a file, not by an argument, which others on the machine may read.
    PASSWORD_FILE=$secrets/$service-password run --set service="$service" <<'SQL'
\set password `cat "$PASSWORD_FILE"`
SELECT format('CREATE ROLE %I LOGIN', :'service')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'service') \gexec
ALTER ROLE :"service" PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER %I', :'service', :'service')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'service') \gexec
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
SQL
done
