#!/bin/sh
# Sets which clients the proxy accepts: all, as after the first deploy/secrets.sh, or those with a name and
# a password. The setting is stored below deploy/secrets, so no other command changes it. The proxy of
# Compose follows at once, that of Kubernetes with the next `kubectl apply -k deploy`.
#
#   deploy/protect.sh eve       sets eve's password, read from standard input, and requires passwords
#   deploy/protect.sh --open    accepts all; the passwords are kept
#   deploy/protect.sh --close   requires the passwords again
set -eu
umask 022

fail() {
    echo "protect.sh: $1" >&2
    exit 2
}

name=${1-}
mkdir -p "$(dirname "$0")/secrets/protect"
cd "$(dirname "$0")/secrets"
chmod 700 .

case $name in
--open) touch protect/open ;;
--close) [ -s protect/readers ] || fail "nobody has a password yet: protect.sh NAME sets one" ;;
'' | -* | *[!A-Za-z0-9._-]*) fail "usage: protect.sh NAME | --open | --close" ;;
*)
    if [ -t 0 ]; then
        printf 'Password of %s: ' "$name" >&2
        trap 'stty echo' EXIT
        stty -echo
    fi
    read -r password || true
    [ -n "$password" ] || fail "the password is empty"
    # apr1, since nginx computes it again for each request.
    hash=$(printf '%s\n' "$password" | openssl passwd -apr1 -stdin)
    touch protect/readers
    {
        awk -F: -v name="$name" '$1 != name' protect/readers
        echo "$name:$hash"
    } >readers.new
    mv readers.new protect/readers
    ;;
esac

setting=open
if [ "$name" != --open ]; then
    rm -f protect/open
    setting=readers
fi
# For Kubernetes: a Secret with the same file.
cat >kustomization.yaml <<END
secretGenerator:
  - name: protect
    files: [protect/$setting]
END
