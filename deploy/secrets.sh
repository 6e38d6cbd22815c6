#!/bin/sh
# Creates the missing secrets of the deployment, below deploy/secrets. Only we can read the
# directory; a file in it is readable for all, since the user in a container has another number.
set -eu
umask 022
cd "$(dirname "$0")"

# Only the first time. A deployment that has lost this setting is closed until an operator decides.
[ -e secrets ] || ./protect.sh --open

mkdir -p secrets
chmod 700 secrets
cd secrets

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

[ -s postgres-password ] || random >postgres-password
for service in order invoice shipping; do
    if ! [ -s "$service-password" ]; then
        random >"$service-password"
        rm -f "$service-database-url"
    fi
    password=$(cat "$service-password")
    case $password in
    '' | *[!A-Za-z0-9._~-]*)
        echo "secrets.sh: deploy/secrets/$service-password must have one line of letters, digits and" \
            "the characters . _ ~ -, since it becomes part of a URL" >&2
        exit 1
        ;;
    esac
    [ -s "$service-database-url" ] ||
        echo "postgres://$service:$password@postgres/$service" >"$service-database-url"
done
