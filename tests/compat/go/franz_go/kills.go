package main

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"checks/checks"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// kills is an idempotent producer while its broker is killed: it sends numbers until its standard input ends, with a line
// for each 500 that are acknowledged. Then each has to be there once, and in order.
func kills() {
	const topic = "franz-kills"
	producer := client(kgo.ProducerBatchMaxBytes(1000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	checks.Must(kadm.NewClient(producer).CreateTopic(ctx, 1, 1, nil, topic))
	ended := make(chan struct{})
	go func() {
		// Nothing is written to it: that something can be read means its end.
		os.Stdin.Read(make([]byte, 1))
		close(ended)
	}()
	var acknowledged atomic.Int64
	sent := 0
	for producing := true; producing; {
		for range 20 {
			producer.Produce(ctx, &kgo.Record{Topic: topic, Value: []byte(strconv.Itoa(sent))}, func(_ *kgo.Record, err error) {
				if err != nil {
					checks.Equal("a record is delivered", nil, err)
				} else if count := acknowledged.Add(1); count%500 == 0 {
					fmt.Println("acknowledged", count)
				}
			})
			sent++
		}
		select {
		case <-ended:
			producing = false
		case <-time.After(10 * time.Millisecond):
		}
	}
	checks.Equal("everything is delivered", nil, producer.Flush(ctx))
	checks.Equal("and acknowledged", int64(sent), acknowledged.Load())
	found, err := read(topic, 0, kgo.NewOffset().AtStart(), int64(sent))
	checks.Equal("it can be read", nil, err)
	checks.Equal("each is there once", sent, len(found))
	for index, record := range found {
		if string(record.Value) != strconv.Itoa(index) {
			checks.Equal("and in order", strconv.Itoa(index), string(record.Value))
			break
		}
	}
}
