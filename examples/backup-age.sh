#!/bin/sh
# Says how old the newest backup in a folder is, in one line for the monitoring, and fails if that is more than a day.
#
#   backup-age.sh FOLDER [HOURS]
#   backup-age.sh nas:/backup/shop 26
#
# The exit status is that of a plugin for Nagios, Icinga and others: 0 if it is young enough, 2 if it is too old or there
# is none, 3 if the server does not tell.
set -eu

folder=$1
hours=${2:-24}

list=$(sluice ls --quiet "$folder") || {
  [ $? -ne 66 ] || { echo "CRITICAL: there is no folder $folder" && exit 2; }
  echo "UNKNOWN: cannot list $folder"
  exit 3
}

# Parts that ls shows one by one are no whole object.
line=$(printf '%s\n' "$list" | jq -rs --argjson hours "$hours" '
  map(select(.dir != true and .modified and (.name | test("\\.(sha256|parts\\.json|part-[0-9]{5,})$") | not))) | max_by(.modified)
  | if . == null then "CRITICAL: there is no backup"
    else ((now - (.modified | sub("\\.[0-9]+"; "") | fromdate)) / 3600) as $age
    | "\(if $age > $hours then "CRITICAL" else "OK" end): \(.name) is \($age * 10 | floor / 10) hours old"
    end')

echo "$line"
[ "${line%%:*}" = OK ] || exit 2
