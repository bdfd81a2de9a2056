#!/usr/bin/env bash
# Makes a data set of keyed records and sends it through six partitions and back, for each codec: the bytes must be
# equal, and each key's records in their order.
#   data_set.sh HOST:PORT       (RECORDS for another size; 400,000 make about 100 MB)
# With kcat ($KCAT, or on the PATH); the broker then makes the topics itself, so it wants num.partitions=6. With $OTTLA, the
# path of our own command, that does it instead, and says how long it took.
set -euo pipefail
broker=${1:?usage: data_set.sh HOST:PORT}
records=${RECORDS:-400000}
kcat=${KCAT:-kcat}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Each line: key, tab, a counter within the whole set, and filler of varying length; the keys repeat.
awk -v n="$records" 'BEGIN {
  srand(7)
  for (i = 0; i < 40; i++) filler = filler "abcdefghijklmnopqrstuvwxyz0123456789"
  for (i = 0; i < n; i++) printf "key-%05d\t%09d %s\n", int(rand() * 5000), i, substr(filler, 1 + i % 36, 50 + i % 370)
}' > "$work/set"
echo "data set: $(wc -l < "$work/set") records, $(wc -c < "$work/set") bytes"

if [[ -n ${OTTLA:-} ]]; then
  export OTTLA_BOOTSTRAP_SERVER=$broker
  send() { # topic, codec
    "$OTTLA" topic create "$1" --partitions 6 > /dev/null
    "$OTTLA" produce "$1" --key-separator '\t' --compression "$2" < "$work/set"
  }
  partitions_of() { "$OTTLA" topic describe "$1" --json | grep -o '"partition":' | wc -l; }
  read_back() { "$OTTLA" tail "$1" --exit --key-separator '\t' > "$work/back"; }
else
  send() {
    # The key decides about the partition (librdkafka's murmur2 partitioner).
    "$kcat" -q -P -b "$broker" -t "$1" -X topic.metadata.refresh.interval.ms=1000 -X allow.auto.create.topics=true \
      -K "$(printf '\t')" -X topic.partitioner=murmur2_random -z "$2" -X linger.ms=5 -l "$work/set"
  }
  partitions_of() { "$kcat" -b "$broker" -L -t "$1" | grep -c '^    partition '; }
  read_back() { # each partition alone
    : > "$work/back"
    for ((p = 0; p < partitions; p++)); do
      "$kcat" -q -C -b "$broker" -t "$1" -p "$p" -o beginning -e -K "$(printf '\t')" >> "$work/back"
    done
  }
fi

by_key() { sort -s -t "$(printf '\t')" -k1,1 "$@"; } # stable: the order within a key stays as it was
by_key "$work/set" > "$work/expected"
failed=0
for codec in none gzip snappy lz4 zstd; do
  topic="data-set-$$-$codec"
  began=$EPOCHREALTIME
  send "$topic" "$codec"
  sent=$EPOCHREALTIME
  partitions=$(partitions_of "$topic")
  asked=$EPOCHREALTIME
  read_back "$topic"
  took=$(awk "BEGIN { printf \"sent in %.1f s, read in %.1f s\", $sent - $began, $EPOCHREALTIME - $asked }")
  if by_key "$work/back" | cmp -s - "$work/expected"; then
    echo "ok      $codec: $partitions partitions, $(wc -l < "$work/back") records back, equal bytes, order per key; $took"
  else
    echo "FAILED  $codec: sent $(wc -l < "$work/expected") records, got $(wc -l < "$work/back") that differ"
    failed=1
  fi
done
exit "$failed"
