// sarama against a broker without automatic topics: sarama HOST:PORT
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"checks/checks"

	"github.com/IBM/sarama"
)

const count = 400

var (
	broker = os.Args[1]
	codecs = []sarama.CompressionCodec{
		sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD,
	}
)

func config(change func(*sarama.Config)) *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Retry.Backoff = 50 * time.Millisecond
	config.Metadata.Retry.Backoff = 50 * time.Millisecond
	config.Metadata.AllowAutoTopicCreation = false
	config.Consumer.Return.Errors = true
	config.Consumer.MaxWaitTime = 50 * time.Millisecond
	change(config)
	return config
}

func idempotent(codec sarama.CompressionCodec) func(*sarama.Config) {
	return func(config *sarama.Config) {
		config.Producer.Idempotent = true
		config.Net.MaxOpenRequests = 1
		config.Producer.Compression = codec
		config.Producer.Flush.Messages = 40
		config.Producer.Flush.Frequency = 5 * time.Millisecond
	}
}

// code is the Kafka error code of an error: 0 for none, -100 for an error of another kind.
func code(err error) int16 {
	var number sarama.KError
	if err == nil {
		return 0
	}
	if errors.As(err, &number) {
		return int16(number)
	}
	fmt.Println("        another kind of error:", err)
	return -100
}

func message(topic string, partition int32, record checks.Record) *sarama.ProducerMessage {
	message := &sarama.ProducerMessage{Topic: topic, Partition: partition, Timestamp: time.UnixMilli(record.Timestamp)}
	if record.Key != nil {
		message.Key = sarama.ByteEncoder(record.Key)
	}
	if record.Value != nil {
		message.Value = sarama.ByteEncoder(record.Value)
	}
	for _, header := range record.Headers {
		message.Headers = append(message.Headers, sarama.RecordHeader{Key: []byte(header.Key), Value: header.Value})
	}
	return message
}

// read returns a partition's records from an offset up to another one.
func read(topic string, partition int32, from, end int64, change func(*sarama.Config)) ([]checks.Record, error) {
	consumer := checks.Must(sarama.NewConsumer([]string{broker}, config(change)))
	defer consumer.Close()
	reader, err := consumer.ConsumePartition(topic, partition, from)
	if err != nil {
		return nil, err
	}
	defer reader.AsyncClose()
	var found []checks.Record
	for len(found) == 0 || found[len(found)-1].Offset+1 < end {
		select {
		case one := <-reader.Messages():
			record := checks.Record{Key: one.Key, Value: one.Value, Timestamp: one.Timestamp.UnixMilli(), Offset: one.Offset}
			for _, header := range one.Headers {
				record.Headers = append(record.Headers, checks.Header{Key: string(header.Key), Value: header.Value})
			}
			found = append(found, record)
		case err := <-reader.Errors():
			return found, err
		case <-time.After(20 * time.Second):
			return found, errors.New("nothing more came within 20 s")
		}
	}
	return found, nil
}

func eachCodec(admin sarama.ClusterAdmin) {
	for _, codec := range codecs {
		topic := "sarama-" + codec.String()
		sent := checks.Records(count, codec.String())
		producer := checks.Must(sarama.NewSyncProducer([]string{broker}, config(idempotent(codec))))
		var messages []*sarama.ProducerMessage
		for _, record := range sent {
			messages = append(messages, message(topic, 1, record))
		}
		checks.Equal(topic+": everything is delivered", nil, producer.SendMessages(messages))
		for index, one := range messages {
			if one.Offset != int64(index) {
				checks.Equal(topic+": offsets count up", int64(index), one.Offset)
			}
		}
		producer.Close()
		for _, from := range []struct {
			name   string
			offset int64
			first  int
			change func(*sarama.Config)
		}{
			{"from the beginning", sarama.OffsetOldest, 0, func(*sarama.Config) {}},
			{"from the middle, only what is committed", 123, 123, func(config *sarama.Config) { config.Consumer.IsolationLevel = sarama.ReadCommitted }},
			{"in small fetches", 300, 300, func(config *sarama.Config) { config.Consumer.Fetch.Default = 64 }},
		} {
			found, err := read(topic, 1, from.offset, count, from.change)
			checks.Equal(topic+": "+from.name+", no error", nil, err)
			checks.Equal(topic+": "+from.name+", byte for byte", sent[from.first:], found)
		}
		offset := func(of int64) [2]int64 {
			found := checks.Must(admin.ListOffsets(map[string]map[int32]int64{topic: {1: of}}, nil))[topic][1]
			checks.Equal(topic+": an offset is listed", sarama.ErrNoError, found.Err)
			return [2]int64{found.Offset, found.Timestamp}
		}
		checks.Equal(topic+": beginning", [2]int64{0, -1}, offset(sarama.OffsetOldest))
		checks.Equal(topic+": end", [2]int64{count, -1}, offset(sarama.OffsetNewest))
		checks.Equal(topic+": offset of a time", [2]int64{200, sent[200].Timestamp}, offset(sent[200].Timestamp-3))
		checks.Equal(topic+": no offset in the future", [2]int64{-1, -1}, offset(9_999_999_999_999))
	}
}

// One producer with many requests under way, without idempotence, and keys that decide.
func keysAndOrder() {
	const total = 4000
	producer := checks.Must(sarama.NewAsyncProducer([]string{broker}, config(func(config *sarama.Config) {
		config.Producer.Partitioner = sarama.NewHashPartitioner
		config.Producer.Flush.Messages = 50
		config.Producer.Flush.Frequency = time.Millisecond
	})))
	go func() {
		for index := range total {
			producer.Input() <- &sarama.ProducerMessage{
				Topic: "sarama-keyed", Key: sarama.StringEncoder(fmt.Sprint("k", index%20)), Value: sarama.StringEncoder(fmt.Sprint(index)),
			}
		}
		producer.AsyncClose()
	}()
	ends := make([]int64, 3)
	var waiting sync.WaitGroup
	waiting.Add(1)
	go func() {
		defer waiting.Done()
		for err := range producer.Errors() {
			checks.Equal("a keyed message is delivered", nil, err.Err)
		}
	}()
	for one := range producer.Successes() {
		ends[one.Partition] = max(ends[one.Partition], one.Offset+1)
	}
	waiting.Wait()
	next := map[string]int{}
	for partition, end := range ends {
		if end == 0 {
			continue
		}
		found, err := read("sarama-keyed", int32(partition), sarama.OffsetOldest, end, func(*sarama.Config) {})
		checks.Equal("keyed messages are read", nil, err)
		for _, record := range found {
			key := string(record.Key)
			if _, known := next[key]; !known {
				next[key] = checks.Must(strconv.Atoi(key[1:]))
			}
			if string(record.Value) != fmt.Sprint(next[key]) {
				checks.Equal("order of "+key, fmt.Sprint(next[key]), string(record.Value))
			}
			next[key] += 20
		}
	}
	checks.Equal("each key is there", 20, len(next))
	for key, after := range next {
		if after < total {
			checks.Equal("each key is whole: "+key, true, false)
		}
	}
}

func administer(admin sarama.ClusterAdmin) {
	nodes, controller, err := admin.DescribeCluster()
	checks.Equal("the cluster is described", nil, err)
	checks.Equal("one node, its controller", []int32{1, controller}, []int32{int32(len(nodes)), nodes[0].ID()})
	checks.Equal("topics are listed", int32(2), checks.Must(admin.ListTopics())["sarama-gzip"].NumPartitions)
	described := checks.Must(admin.DescribeTopics([]string{"sarama-gzip", "sarama-nowhere"}))
	checks.Equal("partitions and leaders", []int32{2, controller}, []int32{int32(len(described[0].Partitions)), described[0].Partitions[0].Leader})
	checks.Equal("a topic that isn't there", sarama.ErrUnknownTopicOrPartition, described[1].Err)

	value := func(name string) string {
		entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: "sarama-gzip", ConfigNames: []string{name}})
		if err != nil || len(entries) != 1 {
			return fmt.Sprint(err, len(entries))
		}
		return entries[0].Value + " " + entries[0].Source.String()
	}
	text := func(text string) *string { return &text }
	checks.Equal("a default", "604800000 Default", value("retention.ms"))
	alter := func(topic, name string, operation sarama.IncrementalAlterConfigsOperation, to *string) error {
		return admin.IncrementalAlterConfig(sarama.TopicResource, topic,
			map[string]sarama.IncrementalAlterConfigsEntry{name: {Operation: operation, Value: to}}, false)
	}
	checks.Equal("set", nil, alter("sarama-gzip", "retention.ms", sarama.IncrementalAlterConfigsOperationSet, text("-1")))
	checks.Equal("a topic's own", "-1 Topic", value("retention.ms"))
	checks.Equal("deleted", nil, alter("sarama-gzip", "retention.ms", sarama.IncrementalAlterConfigsOperationDelete, nil))
	checks.Equal("a default again", "604800000 Default", value("retention.ms"))
	checks.Equal("all at once", nil, admin.AlterConfig(sarama.TopicResource, "sarama-gzip", map[string]*string{"segment.ms": text("7200000")}, false))
	checks.Equal("as it was given", "7200000 Topic", value("segment.ms"))
	checks.Equal("a bad value", int16(40), code(alter("sarama-gzip", "retention.ms", sarama.IncrementalAlterConfigsOperationSet, text("soon"))))

	checks.Equal("partitions are added", nil, admin.CreatePartitions("sarama-gzip", 5, nil, false))
	checks.Equal("five now", int32(5), checks.Must(admin.ListTopics())["sarama-gzip"].NumPartitions)
	checks.Equal("never fewer", int16(37), code(admin.CreatePartitions("sarama-gzip", 1, nil, false)))

	checks.Equal("records are deleted", nil, admin.DeleteRecords("sarama-zstd", map[int32]int64{1: 100}))
	found, err := read("sarama-zstd", 1, sarama.OffsetOldest, count, func(*sarama.Config) {})
	checks.Equal("what is left can be read", nil, err)
	checks.Equal("and begins there", checks.Records(count, "zstd")[100:], found)
	_, err = read("sarama-zstd", 1, 99, count, func(*sarama.Config) {})
	checks.Equal("what was deleted is out of range", int16(1), code(err))

	for _, directory := range checks.Must(admin.DescribeLogDirs([]int32{controller}))[controller] {
		checks.Equal("the log directory is sound", sarama.ErrNoError, directory.ErrorCode)
		checks.Equal("and holds topics", true, 5 <= len(directory.Topics))
	}

	create := func(topic string, detail sarama.TopicDetail, only bool) int16 {
		return code(admin.CreateTopic(topic, &detail, only))
	}
	checks.Equal("a topic that exists", int16(36), create("sarama-gzip", sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false))
	checks.Equal("a bad topic name", int16(17), create("a b", sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false))
	checks.Equal("more replicas than brokers", int16(38), create("sarama-odd", sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 3}, false))
	checks.Equal("only validated", int16(0), create("sarama-odd", sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, true))
	_, made := checks.Must(admin.ListTopics())["sarama-odd"]
	checks.Equal("is not made", false, made)
	checks.Equal("a topic is deleted", nil, admin.DeleteTopic("sarama-lz4"))
	checks.Equal("deleting it again", int16(3), code(admin.DeleteTopic("sarama-lz4")))
}

func mistakes() {
	producer := checks.Must(sarama.NewSyncProducer([]string{broker}, config(func(config *sarama.Config) {
		config.Producer.MaxMessageBytes = 5_000_000
		config.Producer.Retry.Max = 1
	})))
	defer producer.Close()
	_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: "sarama-none", Value: sarama.ByteEncoder(make([]byte, 2_000_000))})
	checks.Equal("a message that is too large", int16(10), code(err))
	_, offset, err := producer.SendMessage(&sarama.ProducerMessage{Topic: "sarama-none", Value: sarama.StringEncoder("small")})
	checks.Equal("the next one is taken", nil, err)
	checks.Equal("at the beginning of its partition", int64(0), offset)
	_, _, err = producer.SendMessage(&sarama.ProducerMessage{Topic: "sarama-nowhere", Value: sarama.StringEncoder("x")})
	checks.Equal("a topic that isn't there is not made", int16(3), code(err))
	_, err = read("sarama-gzip", 1, 1_000_000, count, func(*sarama.Config) {})
	checks.Equal("an offset out of range", int16(1), code(err))
}

func main() {
	admin := checks.Must(sarama.NewClusterAdmin([]string{broker}, config(func(*sarama.Config) {})))
	for _, codec := range codecs {
		checks.Equal("a topic is made", nil, admin.CreateTopic("sarama-"+codec.String(), &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: 1}, false))
	}
	checks.Equal("one for keys", nil, admin.CreateTopic("sarama-keyed", &sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1}, false))
	eachCodec(admin)
	keysAndOrder()
	mistakes()
	administer(admin)
	checks.Finish()
}
