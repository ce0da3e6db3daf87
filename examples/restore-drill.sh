#!/bin/sh
# Restores the newest dump of a PostgreSQL database into a scratch database, and compares a table with the live one: a
# backup is one when it has been restored.
#
#   restore-drill.sh FOLDER DATABASE TABLE
#   restore-drill.sh nas:/backup/shop shop orders
#
# Once a month from cron, which mails what is printed and what went wrong:
#
#   0 6 1 * *  restore-drill.sh nas:/backup/shop shop orders
#
# psql gets the dump when it is whole and proven, and not a byte of it before. It fails if the table has less than nine
# tenths of the rows that it has today.
set -eu

folder=$1
database=$2
table=$3

list=$(sluice ls "$folder")
newest=$(printf '%s\n' "$list" | jq -rs 'map(select(.name | endswith(".sql.gz"))) | max_by(.modified).source // empty')
[ -n "$newest" ] || { echo "there is no dump in $folder" >&2 && exit 1; }

scratch=drill_$$
work=$(mktemp -d)
trap 'dropdb --if-exists "$scratch"; rm -rf "$work"' EXIT
createdb "$scratch"
sluice get -d --result "$work/result" "$newest" -- psql -q -v ON_ERROR_STOP=1 "$scratch"

rows() { psql -Atc "SELECT count(*) FROM $table" "$1"; }
restored=$(rows "$scratch")
live=$(rows "$database")
jq -r '"restored \(.source): \(.bytes) bytes in \(.elapsed_s) s, proven by \(.verified)"' "$work/result"
echo "$table has $restored rows in it, and $live today"
[ "$restored" -ge $((live * 9 / 10)) ]
