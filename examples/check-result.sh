#!/bin/sh
# Looks at the results of sluice with jq: prints a line for the log for each, and sends an alert if one failed.
#
#   sluice -z nas:/backup/shop.sql.gz -- pg_dump shop | check-result.sh >> /var/log/backup.log
#
# ALERT is a command line that gets the alert on its standard input, such as 'mail -s "backup failed" root'. No result
# at all is a failure too: sluice was killed, or its arguments are wrong.
set -eu

alert=${ALERT:-cat >&2}
results=$(cat)

if [ -z "$results" ]; then
  echo "sluice gave no result" | sh -c "$alert"
  exit 1
fi

printf '%s\n' "$results" | jq -r '
  "\(now | todate) \(if .ok then "ok" else "FAILED" end) \(.destination) \(.bytes // 0) bytes, \(.elapsed_s) s"'

failures=$(printf '%s\n' "$results" | jq -r '
  select(.ok | not)
  | "\(.destination): \(.error.message)" + (if .held then "\nsend it later with: sluice held push \(.held)" else "" end)')

if [ -n "$failures" ]; then
  printf '%s\n' "$failures" | sh -c "$alert"
  exit 1
fi
