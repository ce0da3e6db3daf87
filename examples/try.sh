#!/usr/bin/env bash
# A first look: installs what the build needs, builds, starts the loopback server, uploads the sources to it through
# sluice, and looks at what the server holds. The result goes to standard output, all else to standard error.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

./.ci/install zlib1g-dev libexpat1-dev
build=(swift build -c release --static-swift-stdlib)
# Swift of macOS has its library in the system; there is none to link in.
[[ $(uname) != Darwin ]] || build=(swift build -c release)
say "building; the first time takes some minutes"
"${build[@]}" --product sluice >&2
loopback=$(./Tests/Loopback/build)
bin=$("${build[@]}" --show-bin-path)
bin=${bin#"$PWD/"}

work=$(mktemp -d)
server=
finish() {
  [[ -z $server ]] || { kill "$server" && wait "$server"; } 2> /dev/null || true
  rm -rf "$work"
}
trap finish EXIT

# A program of this machine needs no proxy to talk to another one.
export ALIST_TOKEN=loopback-token SLUICE_SPOOL_DIR=$work/spool no_proxy=127.0.0.1
mkfifo "$work/ready"
exec 3<> "$work/ready"
"$loopback" --port 0 --root "$work/root" >&3 2> "$work/log" &
server=$!
read -r -t 60 _ url <&3 || { cat "$work/log" >&2 && say "the loopback server did not start" && exit 1; }

say "\$ tar c Sources | sluice -z --verify alist+$url/backup/sources.tar.gz"
tar c Sources | "$bin/sluice" -z --verify "alist+$url/backup/sources.tar.gz"

gunzip -c "$work/root/alist/backup/sources.tar.gz" | cmp - <(tar c Sources) || { say "the server holds something else" && exit 1; }
say "what the server holds gunzips to the same tar"
say "the program is $bin/sluice; to keep it: install -s $bin/sluice /usr/local/bin/"
