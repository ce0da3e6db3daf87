#!/bin/sh
# Uploads a folder as a compressed tar file with today's date in its name, and never over one that is there.
#
#   tar-home.sh FOLDER DESTINATION
#   tar-home.sh /home/anna nas:/backup/homes
#
# tar ends with 1 if a file changed while it was read, which is usual in a home that is in use and no reason to upload
# nothing; with 2 if something went wrong. So 1 is taken for success, and nothing else is.
set -eu

folder=$1
destination=$2
name=$(basename "$folder")-$(date +%F).tar.gz

# The second shell expands these, not this one.
# shellcheck disable=SC2016
exec sluice -z --no-clobber "$destination/$name" -- \
  sh -c 'tar -c --exclude=./.cache -C "$1" .; [ $? -le 1 ]' tar "$folder"
