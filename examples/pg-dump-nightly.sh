#!/bin/sh
# Uploads a dump of a PostgreSQL database, compressed. The day of the week is in the name, so seven dumps are kept.
#
#   pg-dump-nightly.sh DATABASE FOLDER
#   pg-dump-nightly.sh shop nas:/backup/shop
#
# sluice runs pg_dump itself, so a dump that fails half-way is not uploaded and last week's stays. The sum beside the dump
# lets sluice prove it when it is read back, as restore-drill.sh does. What pg_dump needs (PGHOST, PGUSER, a .pgpass
# file) it takes from the environment as always. MIN_SIZE is a second line of defence against a database that is
# suddenly empty.
set -eu

database=$1
folder=$2

exec sluice -z --verify --sum --min-size "${MIN_SIZE:-1k}" "$folder/$database-$(date +%u).sql.gz" -- pg_dump "$database"
