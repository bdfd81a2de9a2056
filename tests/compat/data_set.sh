#!/usr/bin/env bash
# Makes a data set of keyed records and sends it through kcat to six partitions and back, for each codec: the bytes must
# be equal, and each key's records in their order.
# The broker makes the topics itself, so it wants num.partitions=6.
#   data_set.sh HOST:PORT       (kcat in $KCAT or on the PATH; RECORDS for another size; 400,000 make about 100 MB)
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

by_key() { sort -s -t "$(printf '\t')" -k1,1 "$@"; } # stable: the order within a key stays as it was
by_key "$work/set" > "$work/expected"
failed=0
for codec in none gzip snappy lz4 zstd; do
  topic="data-set-$$-$codec"
  # Six partitions: the key decides which (librdkafka's murmur2 partitioner), and each is read back alone.
  "$kcat" -q -P -b "$broker" -t "$topic" -X topic.metadata.refresh.interval.ms=1000 -X allow.auto.create.topics=true \
    -K "$(printf '\t')" -X topic.partitioner=murmur2_random -z "$codec" -X linger.ms=5 -l "$work/set"
  partitions=$("$kcat" -b "$broker" -L -t "$topic" | grep -c '^    partition ')
  : > "$work/back"
  for ((p = 0; p < partitions; p++)); do
    "$kcat" -q -C -b "$broker" -t "$topic" -p "$p" -o beginning -e -K "$(printf '\t')" >> "$work/back"
  done
  if by_key "$work/back" | cmp -s - "$work/expected"; then
    echo "ok      $codec: $partitions partitions, $(wc -l < "$work/back") records back, equal bytes, order per key"
  else
    echo "FAILED  $codec: sent $(wc -l < "$work/expected") records, got $(wc -l < "$work/back") that differ"
    failed=1
  fi
done
exit "$failed"
