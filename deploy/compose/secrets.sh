#!/bin/sh
# Makes the secrets of compose.yaml where they are missing: a random password of the database, and
# the address that holds it. The hashes of the UI's passwords go into login.env by hand. Run it
# as root: the files then belong to the containers' user.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
[ -e secrets/postgres_password ] || python3 -c 'import secrets; print(secrets.token_hex(24), end="")' > secrets/postgres_password
word=$(cat secrets/postgres_password)
printf 'postgresql://ccgi:%s@postgres:5432/ccgi_dagster' "$word" > secrets/dagster_postgres
[ -e secrets/login.env ] || cat > secrets/login.env <<'END'
CCGI_UI_ADDRESS=ccgi.example.org
CCGI_UI_LOOK_ADDRESS=look.ccgi.example.org
CCGI_UI_OPERATOR=
CCGI_UI_OPERATOR_HASH=
CCGI_UI_LOOKER=
CCGI_UI_LOOKER_HASH=
END
# Files of secrets keep their owner in the containers, which run as 10001 (the database as root).
if [ "$(id -u)" -eq 0 ]; then chown -R 10001:10001 secrets; else
  echo "not run as root: the containers cannot read these files until they belong to 10001" >&2
fi
echo "secrets/ is complete but for login.env: fill it in (docs/access.md)"
