// franz-go against a broker without automatic topics: franz_go HOST:PORT, or, with the broker killed meanwhile,
// franz_go kills HOST:PORT or franz_go transforms HOST:PORT; franz_go transactions HOST:PORT
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"checks/checks"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const count = 400

var (
	broker = os.Args[len(os.Args)-1]
	ctx, _ = context.WithTimeout(context.Background(), 2*time.Minute)
	codecs = []struct {
		name  string
		codec kgo.CompressionCodec
	}{
		{"none", kgo.NoCompression()}, {"gzip", kgo.GzipCompression()}, {"snappy", kgo.SnappyCompression()},
		{"lz4", kgo.Lz4Compression()}, {"zstd", kgo.ZstdCompression()},
	}
)

func client(options ...kgo.Opt) *kgo.Client {
	base := []kgo.Opt{kgo.SeedBrokers(broker), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.UnknownTopicRetries(2)}
	return checks.Must(kgo.NewClient(append(base, options...)...))
}

// code is the Kafka error code of an error: 0 for none, -100 for an error of another kind.
func code(err error) int16 {
	var of *kerr.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &of):
		return of.Code
	default:
		fmt.Println("        another kind of error:", err)
		return -100
	}
}

// read returns a partition's records from an offset to the end as it is now.
func read(topic string, partition int32, from kgo.Offset, end int64, options ...kgo.Opt) ([]*kgo.Record, error) {
	place := map[string]map[int32]kgo.Offset{topic: {partition: from}}
	reader := client(append(options, kgo.ConsumePartitions(place), kgo.ConsumeResetOffset(kgo.NoResetOffset()))...)
	defer reader.Close()
	var found []*kgo.Record
	for len(found) == 0 || found[len(found)-1].Offset+1 < end {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return found, err
		}
		found = append(found, fetches.Records()...)
	}
	return found, nil
}

// asSent is a record without what only the broker knows.
func asSent(records []*kgo.Record) []checks.Record {
	var all []checks.Record
	for _, record := range records {
		one := checks.Record{
			Key: record.Key, Value: record.Value, Timestamp: record.Timestamp.UnixMilli(), Offset: record.Offset,
		}
		for _, header := range record.Headers {
			one.Headers = append(one.Headers, checks.Header{Key: header.Key, Value: header.Value})
		}
		all = append(all, one)
	}
	return all
}

func produce(producer *kgo.Client, topic string, partition int32, records []checks.Record) []*kgo.Record {
	var all []*kgo.Record
	for _, record := range records {
		one := &kgo.Record{
			Topic: topic, Partition: partition, Key: record.Key, Value: record.Value, Timestamp: time.UnixMilli(record.Timestamp),
		}
		for _, header := range record.Headers {
			one.Headers = append(one.Headers, kgo.RecordHeader{Key: header.Key, Value: header.Value})
		}
		all = append(all, one)
	}
	results := producer.ProduceSync(ctx, all...)
	checks.Equal(topic+": everything is delivered", nil, results.FirstErr())
	return all
}

func eachCodec(admin *kadm.Client) {
	for _, codec := range codecs {
		name, topic := codec.name, "franz-"+codec.name
		sent := checks.Records(count, name)
		producer := client(kgo.ProducerBatchCompression(codec.codec), kgo.ProducerLinger(5*time.Millisecond))
		for index, record := range produce(producer, topic, 1, sent) {
			if record.Offset != int64(index) {
				checks.Equal(name+": offsets count up", int64(index), record.Offset)
			}
		}
		producer.Close()
		for _, from := range []struct {
			name    string
			offset  kgo.Offset
			first   int
			options []kgo.Opt
		}{
			{"from the beginning", kgo.NewOffset().AtStart(), 0, nil},
			{"from the middle, only what is committed", kgo.NewOffset().At(123), 123, []kgo.Opt{kgo.FetchIsolationLevel(kgo.ReadCommitted())}},
			{"in small fetches without a session", kgo.NewOffset().At(300), 300, []kgo.Opt{kgo.FetchMaxPartitionBytes(64), kgo.DisableFetchSessions()}},
			{"from the end backwards", kgo.NewOffset().AtEnd().Relative(-10), count - 10, nil},
			{"from a time", kgo.NewOffset().AfterMilli(sent[200].Timestamp - 3), 200, nil},
		} {
			found, err := read(topic, 1, from.offset, count, from.options...)
			checks.Equal(name+": "+from.name+", no error", nil, err)
			checks.Equal(name+": "+from.name+", byte for byte", sent[from.first:], asSent(found))
		}
		listed := func(offsets kadm.ListedOffsets, err error) [2]int64 {
			at, _ := checks.Must(offsets, err).Lookup(topic, 1)
			checks.Equal(name+": offsets are listed", nil, at.Err)
			return [2]int64{at.Offset, at.Timestamp}
		}
		checks.Equal(name+": beginning", [2]int64{0, -1}, listed(admin.ListStartOffsets(ctx, topic)))
		checks.Equal(name+": end", [2]int64{count, -1}, listed(admin.ListEndOffsets(ctx, topic)))
		checks.Equal(name+": end of what is committed", [2]int64{count, -1}, listed(admin.ListCommittedOffsets(ctx, topic)))
		checks.Equal(name+": latest time", [2]int64{count - 1, sent[count-1].Timestamp}, listed(admin.ListMaxTimestampOffsets(ctx, topic)))
		checks.Equal(name+": beginning of what is local", [2]int64{0, -1}, listed(admin.ListLocalLogStartOffsets(ctx, topic)))
		checks.Equal(name+": nothing is remote", [2]int64{-1, -1}, listed(admin.ListLatestRemoteOffsets(ctx, topic)))
		checks.Equal(name+": offset of a time", [2]int64{200, sent[200].Timestamp}, listed(admin.ListOffsetsAfterMilli(ctx, sent[200].Timestamp, topic)))
		// kadm asks for the end where nothing is as late.
		checks.Equal(name+": no offset in the future", int64(count), listed(admin.ListOffsetsAfterMilli(ctx, 9_999_999_999_999, topic))[0])
	}
}

func eachAcks() {
	for index, acks := range []kgo.Acks{kgo.NoAck(), kgo.LeaderAck(), kgo.AllISRAcks()} {
		producer := client(kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite())
		produce(producer, "franz-acks", 0, checks.Records(20, strconv.Itoa(index)))
		checks.Must(0, producer.Flush(ctx))
		producer.Close()
	}
	found, err := read("franz-acks", 0, kgo.NewOffset().AtStart(), 60)
	checks.Equal("records of every acks arrive", nil, err)
	checks.Equal("in order", 60, len(found))
	for index, record := range found {
		if want := checks.Records(20, strconv.Itoa(index/20))[index%20]; !bytes.Equal(want.Value, record.Value) {
			checks.Equal("value of "+strconv.Itoa(index), want.Value, record.Value)
		}
	}
}

// Several producers at once, each with many batches under way; then all partitions are read as they come.
func keysAndOrder() {
	const perProducer = 2000
	producers := make([]*kgo.Client, 3)
	for number := range producers {
		producers[number] = client(kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerBatchMaxBytes(1000),
			kgo.ProducerBatchCompression(kgo.Lz4Compression()))
		for index := range perProducer {
			key := fmt.Sprintf("%d-%d", number, index%20)
			producers[number].Produce(ctx, &kgo.Record{Topic: "franz-keyed", Key: []byte(key), Value: []byte(strconv.Itoa(index))}, func(_ *kgo.Record, err error) {
				if err != nil {
					checks.Equal("a keyed record is delivered", nil, err)
				}
			})
		}
	}
	for _, producer := range producers {
		checks.Must(0, producer.Flush(ctx))
		producer.Close()
	}
	start := kgo.NewOffset().AtStart()
	reader := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"franz-keyed": {0: start, 1: start, 2: start, 3: start}}))
	defer reader.Close()
	next, partition, seen := map[string]int{}, map[string]int32{}, 0
	for seen < perProducer*len(producers) {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			checks.Equal("keyed records are read", nil, err)
			return
		}
		for _, record := range fetches.Records() {
			seen++
			key := string(record.Key)
			value, known := next[key]
			if !known {
				value = checks.Must(strconv.Atoi(key[2:]))
				partition[key] = record.Partition
			}
			if string(record.Value) != strconv.Itoa(value) || partition[key] != record.Partition {
				checks.Equal("order of key "+key, value, string(record.Value))
			}
			next[key] = value + 20
		}
	}
	checks.Equal("each key is there", 20*len(producers), len(next))
}

func mistakes() {
	producer := client(kgo.ProducerBatchMaxBytes(5_000_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer producer.Close()
	send := func(topic string, partition int32, value []byte) (*kgo.Record, error) {
		return producer.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: partition, Value: value}).First()
	}
	_, err := send("franz-acks", 0, make([]byte, 2_000_000))
	checks.Equal("a record that is too large", int16(10), code(err))
	record, err := send("franz-acks", 0, []byte("small"))
	checks.Equal("the next one is taken", nil, err)
	checks.Equal("the next one's offset", int64(60), record.Offset)
	_, err = send("franz-nowhere", 0, []byte("x"))
	checks.Equal("a topic that isn't there is not made", int16(3), code(err))

	_, err = read("franz-gzip", 1, kgo.NewOffset().At(1_000_000), count, kgo.KeepRetryableFetchErrors())
	checks.Equal("an offset out of range", int16(1), code(err))
	_, err = read("franz-nowhere", 0, kgo.NewOffset().At(0), count, kgo.KeepRetryableFetchErrors())
	checks.Equal("reading a topic that isn't there", int16(3), code(err))
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "kills" {
		kills()
		checks.Finish()
	}
	if len(os.Args) == 3 && os.Args[1] == "transforms" {
		// As long as its caller lets it run.
		ctx, _ = context.WithTimeout(context.Background(), 5*time.Minute)
		transforms()
		checks.Finish()
	}
	if len(os.Args) == 3 && os.Args[1] == "transactions" {
		transactions()
		checks.Finish()
	}
	administration := client()
	admin := kadm.NewClient(administration)
	createTopics(admin)
	eachCodec(admin)
	eachAcks()
	keysAndOrder()
	mistakes()
	administer(admin)
	checks.Finish()
}
