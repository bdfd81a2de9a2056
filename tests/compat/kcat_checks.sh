#!/usr/bin/env bash
# Debian's kcat against a broker: kcat_checks.sh HOST:PORT, with the program in $KCAT.
set -euo pipefail
broker=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

kcat() { timeout 30 "$KCAT" -b "$broker" -X socket.timeout.ms=10000 "$@"; }
read_all() { kcat -q -C -o beginning -e "$@"; }
check() { # check NAME EXPECTED ACTUAL
  if [ "$2" = "$3" ]; then echo "ok      $1"; else
    echo "FAILED  $1: expected [${2:0:200}], got [${3:0:200}]"
    failed=1
  fi
}

check "the broker lists itself" 1 "$(kcat -L | grep -c '^  broker ')"

for codec in none gzip snappy lz4 zstd; do
  seq -f "value-%06g-$codec" 2000 > "$work/in"
  kcat -q -P -t "codec-$codec" -p 0 -z "$codec" < "$work/in"
  read_all -t "codec-$codec" -p 0 > "$work/out"
  check "codec $codec comes back byte for byte" "$(sha256sum < "$work/in")" "$(sha256sum < "$work/out")"
done

for acks in 0 1 -1; do
  seq 25 | kcat -q -P -t acks -p 1 -X acks="$acks"
done
# An acks=0 producer leaves before the broker has written; the other two have waited for the same partition's log.
check "records of every acks arrive" 75 "$(read_all -t acks -p 1 | wc -l)"

printf 'k1|first\nk2|second\nk1|\n' | kcat -q -P -t keyed -p 0 -K '|' -Z
check "keys, values and a null value" "k1=first(5) k2=second(6) k1=(-1) " \
  "$(read_all -t keyed -p 0 -f '%k=%s(%S) ')"
echo body | kcat -q -P -t headers -p 0 -H h=1 -H other=two -H h=3 -H empty=
check "headers keep their order and doubles" "h=1,other=two,h=3,empty= body" "$(read_all -t headers -p 0 -f '%h %s')"

seq 100 | kcat -q -P -t places -p 2
check "from an offset" "$(seq 91 100)" "$(kcat -q -C -t places -p 2 -o 90 -e)"
check "from the end backwards" "$(seq 96 100)" "$(kcat -q -C -t places -p 2 -o -5 -e)"
check "offset of the beginning" "places [2] offset 0" "$(kcat -Q -t places:2:-2)"
check "offset of the end" "places [2] offset 100" "$(kcat -Q -t places:2:-1)"
check "no offset in the future" "places [2] offset -1" "$(kcat -Q -t places:2:99999999999999)"
time=$(kcat -q -C -t places -p 2 -o 40 -c 1 -f '%T')
found=$(kcat -Q -t "places:2:$time" | sed 's/.* //')
first=$(kcat -q -C -t places -p 2 -o beginning -e -f '%o %T\n' | awk -v t="$time" '$2 >= t { print $1; exit }')
check "offset of a time" "$first" "$found"

seq 1000 | kcat -q -P -t idempotent -p 0 -X enable.idempotence=true
check "an idempotent producer" "$(seq 1000 | sha256sum)" "$(read_all -t idempotent -p 0 | sha256sum)"

head -c 675000 /dev/urandom | base64 -w0 > "$work/big"
kcat -q -P -t big -p 0 "$work/big"
check "a record of 900 kB" "$(sha256sum < "$work/big")" "$(kcat -q -C -t big -p 0 -o beginning -e -D '' | sha256sum)"

head -c 2000000 /dev/zero | tr '\0' x > "$work/huge"
answer=$(kcat -P -t big -p 0 -X message.max.bytes=4000000 "$work/huge" 2>&1 || true)
check "a record above max.message.bytes is refused as too large" 1 "$(grep -ci 'size too large\|too large' <<< "$answer" || true)"
answer=$(echo x | kcat -P -t 'no/such name' 2>&1 || true)
check "an invalid topic name is refused" 1 "$(grep -ci 'invalid topic' <<< "$answer" | head -1 | sed 's/[1-9][0-9]*/1/')"
answer=$(kcat -q -C -t places -p 99 -o beginning -e 2>&1 || true)
check "an unknown partition is refused" 1 "$(grep -ci 'does not exist' <<< "$answer" | sed 's/[1-9][0-9]*/1/')"

exit "$failed"
