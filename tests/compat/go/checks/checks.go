// Package checks is what the Go clients share: counting checks, and the records that they send.
package checks

import (
	"fmt"
	"os"
	"reflect"
	"strconv"
)

var failed int

// Equal prints one line: whether both are deeply equal.
func Equal(name string, expected, found any) {
	if reflect.DeepEqual(expected, found) {
		fmt.Println("ok     ", name)
		return
	}
	failed++
	fmt.Printf("FAILED  %s: expected %.400s, found %.400s\n", name, fmt.Sprint(expected), fmt.Sprint(found))
}

// Must ends the checks where going on makes no sense.
func Must[T any](value T, err error) T {
	if err != nil {
		fmt.Printf("FAILED  it ended early: %v\n", err)
		panic(err)
	}
	return value
}

// Finish ends the program, with 1 if any check failed.
func Finish() {
	if failed != 0 {
		os.Exit(1)
	}
	os.Exit(0)
}

// Header is a record's header; a null value is nil.
type Header struct {
	Key   string
	Value []byte
}

// Record is what is sent, and what has to come back.
type Record struct {
	Key, Value  []byte
	Headers     []Header
	Timestamp   int64
	Offset      int64
	LeaderEpoch int32
}

// Records makes records with nulls, empty values, doubled header keys and binary bytes among them.
func Records(count int, codec string) []Record {
	records := make([]Record, count)
	for index := range records {
		record := &records[index]
		record.Offset = int64(index)
		record.Timestamp = 1_700_000_000_000 + int64(index)*10
		if index%7 != 3 {
			record.Key = []byte("key-" + strconv.Itoa(index%10))
		}
		switch {
		case index%11 == 5:
		case index%13 == 6:
			record.Value = []byte{}
		default:
			for place := range index % 300 {
				record.Value = append(record.Value, byte(index*31+place))
			}
			record.Value = append(record.Value, codec...)
		}
		if index%3 == 0 {
			record.Headers = []Header{{"n", []byte(strconv.Itoa(index))}, {"n", []byte("again")}, {"null", nil}, {"empty", []byte{}}}
		}
	}
	return records
}
