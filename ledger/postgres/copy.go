package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// A copyTable is what one COPY of a Tx puts into a table: rows in COPY's binary form
// (PostgreSQL's manual, COPY, "Binary Format").
type copyTable struct {
	into string // the table and its columns
	data []byte
}

// copyFormat opens a stream of COPY in binary form: signature, flags, length of the
// header's extension.
const copyFormat = "PGCOPY\n\xff\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"

const (
	copyEnd  = 0xffff // in place of a row's number of fields
	copyNull = 0xffffffff
)

// copyInto begins a table's rows, which take about size bytes.
func copyInto(into string, size int) *copyTable {
	return &copyTable{into, append(make([]byte, 0, size+len(copyFormat)+2), copyFormat...)}
}

// row begins one with so many fields.
func (t *copyTable) row(fields int) { t.data = binary.BigEndian.AppendUint16(t.data, uint16(fields)) }

func (t *copyTable) size(n int) { t.data = binary.BigEndian.AppendUint32(t.data, uint32(n)) }

func (t *copyTable) int2(v int16) {
	t.size(2)
	t.data = binary.BigEndian.AppendUint16(t.data, uint16(v))
}

func (t *copyTable) int4(v int32) {
	t.size(4)
	t.data = binary.BigEndian.AppendUint32(t.data, uint32(v))
}

func (t *copyTable) int8(v int64) {
	t.size(8)
	t.data = binary.BigEndian.AppendUint64(t.data, uint64(v))
}

func (t *copyTable) null() { t.size(copyNull) }

func (t *copyTable) bytes(b []byte) {
	t.size(len(b))
	t.data = append(t.data, b...)
}

// arraySize is the length of n bigint in an array's binary form (PostgreSQL,
// array_send): dimensions, flags, type of elements, length, lower bound, and each
// element with its own length.
func arraySize(n int) int { return 5*4 + n*(4+8) }

// int8s adds an array of n bigint.
func (t *copyTable) int8s(n int, at func(i int) int64) {
	const dimensions, flags, int8Type, lowerBound = 1, 0, 20, 1
	for _, v := range []int{arraySize(n), dimensions, flags, int8Type, n, lowerBound} {
		t.size(v)
	}
	for i := range n {
		t.int8(at(i))
	}
}

// copyTogether carries out the COPYs in one Tx and returns when it is on disk. The
// statements are one simple query, whose statements are one Tx (PostgreSQL's manual,
// "Multiple Statements in a Simple Query"), and their rows follow at once: after an
// error the server passes over what it did not ask for ("COPY Operations"). So a
// commit waits for the server once.
//
// The errors are those of classifyCommit.
func copyTogether(ctx context.Context, conn *pgconn.PgConn, tables []*copyTable) error {
	if err := sendTogether(ctx, conn, tables); err != nil {
		giveUp(conn)
		return classifyCommit(err)
	}
	var refused error
	for done := 0; ; {
		message, err := conn.ReceiveMessage(ctx)
		if err != nil {
			giveUp(conn)
			return classifyCommit(err)
		}
		switch m := message.(type) {
		case *pgproto3.CommandComplete:
			done++
		case *pgproto3.ErrorResponse:
			table, _, _ := strings.Cut(tables[min(done, len(tables)-1)].into, " ")
			refused = fmt.Errorf("write table %s: %w", table, classifyCommit(pgconn.ErrorResponseToPgError(m)))
		case *pgproto3.ReadyForQuery:
			if refused == nil && done != len(tables) {
				return classifyCommit(fmt.Errorf("%d of %d statements are said to be done", done, len(tables)))
			}
			return refused
		}
	}
}

func sendTogether(ctx context.Context, conn *pgconn.PgConn, tables []*copyTable) error {
	var sql strings.Builder
	for _, t := range tables {
		fmt.Fprintf(&sql, "copy %s from stdin binary;", t.into)
	}
	front := conn.Frontend()
	front.SendQuery(&pgproto3.Query{String: sql.String()})
	for _, t := range tables {
		front.Send(&pgproto3.CopyData{Data: binary.BigEndian.AppendUint16(t.data, copyEnd)})
		front.Send(&pgproto3.CopyDone{})
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Conn().SetDeadline(time.Unix(1, 0)) })
	defer stop()
	return front.Flush()
}

// giveUp asks the server to stop what it does for a connection, and closes that.
func giveUp(conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), giveUpLimit)
	defer cancel()
	_ = conn.CancelRequest(ctx)
	_ = conn.Close(ctx)
}

// giveUpLimit is how long to wait for a server that may be gone.
const giveUpLimit = 3 * time.Second
