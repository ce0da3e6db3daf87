#!/bin/sh
# Uploads what a program writes that can only write to a file: a named pipe is put in the place of the file.
#
#   named-pipe.sh DESTINATION PROGRAM [ARG...]        the word {} stands for the file
#   named-pipe.sh nas:/backup/shop.sql.gz mariadb-dump -r {} shop
#
# A pipe does not say how the program ended that wrote into it. Here a guard asks: it reads the input to its end, then
# waits for the program's exit status on a second pipe and ends with it. So nothing is uploaded if the program failed.
set -eu

destination=$1
shift
work=$(mktemp -d)
mkfifo "$work/data" "$work/status"
for word; do
  shift
  [ "$word" != '{}' ] || word=$work/data
  set -- "$@" "$word"
done

# The pipe is also opened here, so that sluice sees its end when the program dies before it opens it.
(
  exec 3> "$work/data"
  status=0
  "$@" 3>&- || status=$?
  exec 3>&-
  echo "$status" > "$work/status"
) &
producer=$!
trap 'kill "$producer" 2> /dev/null || true; rm -rf "$work"' EXIT

sluice -z --input "$work/data" --check "cat > /dev/null; read -r status < '$work/status'; exit \"\$status\"" "$destination"
