package node

import (
	"encoding"
	"fmt"

	"github.com/fenghuo-mesh/fenghuo/node/journal"
	"github.com/fenghuo-mesh/fenghuo/node/ledger"
)

// Kinds of records in the journal. They are never reused; a kind that isn't
// known is a later version's and is kept out of the way.
const (
	kindAlert    = ledger.RecordKind
	kindTold     = 2 // aggregate/notice.Told
	kindSilence  = 3 // aggregate/silence.Silence
	kindIncident = 4 // aggregate/incident.Incident
)

// appendRecord encodes v behind the others. Encoding our own types can't fail.
func appendRecord(records []journal.Record, kind uint8, v any) []journal.Record {
	var data []byte
	var err error
	switch v := v.(type) {
	case encoding.BinaryAppender:
		data, err = v.AppendBinary(nil)
	case encoding.BinaryMarshaler:
		data, err = v.MarshalBinary()
	default:
		err = fmt.Errorf("no stored form of %T", v)
	}
	if err != nil {
		panic(err) // a type without a stored form: a programming error
	}
	return append(records, journal.Record{Kind: kind, Data: data})
}
