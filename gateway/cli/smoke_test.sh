#!/bin/bash
# The built program, without a running gateway: smoke_test.sh PROGRAM PLUGIN_DIRECTORY
set -euo pipefail
program=$1
plugins=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() { echo "smoke_test: $*" >&2; exit 1; }
# expect CODE COMMAND…: runs it, keeping its output in ./out and ./err
expect() {
  local want=$1 got=0
  shift
  "$program" "$@" >out 2>err || got=$?
  [ "$got" = "$want" ] || { cat out err >&2; fail "'postern $*' exited with $got, not $want"; }
}
says() { grep -qF -- "$2" "$1" || { cat out err >&2; fail "'$2' is not in $1"; }; }

mkdir config
cat >config/postern.yaml <<YAML
plugins: { directories: ["$plugins"] }
storage: { plugin: sqlite, settings: { path: ../var/postern.db } }
secrets: { master_key: "\${file:../var/master.key}" }
organizations:
  - id: demo
    name: Demo
    providers: [{ id: outbox, type: MAILDIR, settings: { path: ../var/outbox } }]
YAML

expect 0 --version
expect 0 --help && says out "postern serve --config"
expect 2 srve && says err "did you mean 'serve'?"
expect 0 check && says out "config/postern.yaml: fine"
[ ! -e var ] || fail "check made something"
expect 0 plugin list && says out MAILDIR
expect 0 keys create --organization demo --name ci --permissions SEND
key=$(cat out)
[[ $key =~ ^ms_live_[A-Za-z0-9_-]{43}$ ]] || fail "'$key' is no key"
[ "$(stat -c %a var/master.key)" = 600 ] || fail "others can read the master key"
expect 0 keys list --json && says out '"name":"ci"'
id=$(sed 's/.*"id":"\([^"]*\)".*/\1/' out)
expect 0 keys revoke "$id" && says out "is revoked"
expect 0 queue list && says err "Nothing is queued"
expect 1 queue show 01890a5d-ac96-774b-bcce-b302099a8057 && says err "there is no message"
POSTERN_CONFIG=nowhere.yaml expect 1 check && says err nowhere.yaml
mv config elsewhere
expect 1 check && says err "POSTERN_CONFIG"
