package dump

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/failoverd/failoverd/internal/snapshot"
)

// wire speaks MySQL's binary protocol on a connection that is logged in and at rest
// (MySQL source documentation, "Command Phase"). A library would make values of each
// row; here a row is a slice of what the server sent, and nothing is allocated for it.
type wire struct {
	conn io.ReadWriter
	// buffer[at:end] was received and not yet read.
	buffer  []byte
	at, end int
	// sequence is the number that the next packet must have.
	sequence byte
	joined   []byte // a row of several packets
}

const (
	receiveBytes = 256 << 10
	// wholePacket is the length of a packet that goes on in the next one.
	wholePacket = 1<<24 - 1
)

const (
	comPrepare   = 0x16
	comExecute   = 0x17
	comCloseStmt = 0x19
	headOK       = 0x00
	headEOF      = 0xfe
	headErr      = 0xff
)

// column is a column of a result, as the server describes it.
type column struct {
	name  string
	kind  byte
	flags uint16
}

const unsignedFlag = 1 << 5

var errProtocol = errors.New("the server's answer is not in the protocol")

func newWire(conn io.ReadWriter) *wire {
	return &wire{conn: conn, buffer: make([]byte, receiveBytes)}
}

// query runs a statement without parameters as a prepared one, since only those are
// answered in the binary protocol, and gives each row's payload, less its first byte,
// to yield. check sees the columns before. A row is good until yield returns. After an
// error that is not the server's own (*gomysql.MyError) the connection is of no use.
func (w *wire) query(statement string, check func([]column) error, yield func(row []byte) error) error {
	id, err := w.prepare(statement)
	if err != nil {
		return err
	}
	if err := w.execute(id, check, yield); err != nil {
		return err
	}
	return w.send(binary.LittleEndian.AppendUint32([]byte{comCloseStmt}, id))
}

func (w *wire) prepare(statement string) (id uint32, err error) {
	if err := w.send(append([]byte{comPrepare}, statement...)); err != nil {
		return 0, err
	}
	answer, err := w.answer()
	if err != nil {
		return 0, err
	}
	if len(answer) < 9 || answer[0] != headOK {
		return 0, fmt.Errorf("%w: prepare", errProtocol)
	}
	id = binary.LittleEndian.Uint32(answer[1:])
	columns := int(binary.LittleEndian.Uint16(answer[5:]))
	if parameters := binary.LittleEndian.Uint16(answer[7:]); parameters != 0 || columns == 0 {
		return 0, fmt.Errorf("%w: a statement with %d columns and %d parameters", errProtocol, columns, parameters)
	}
	_, err = w.columns(columns)
	return id, err
}

func (w *wire) execute(id uint32, check func([]column) error, yield func(row []byte) error) error {
	command := binary.LittleEndian.AppendUint32([]byte{comExecute}, id)
	command = append(command, 0, 1, 0, 0, 0) // no cursor, one iteration
	if err := w.send(command); err != nil {
		return err
	}
	answer, err := w.answer()
	if err != nil {
		return err
	}
	count, used := snapshot.LengthEncoded(answer)
	if used != len(answer) || count == 0 {
		return fmt.Errorf("%w: execute", errProtocol)
	}
	columns, err := w.columns(int(count))
	if err != nil {
		return err
	}
	if err := check(columns); err != nil {
		return err
	}
	for {
		row, err := w.answer()
		switch {
		case err != nil:
			return err
		case len(row) > 0 && row[0] == headEOF && len(row) < 9:
			return nil
		case len(row) == 0 || row[0] != headOK:
			return fmt.Errorf("%w: a row begins with %x", errProtocol, row[:min(len(row), 1)])
		}
		if err := yield(row[1:]); err != nil {
			return err
		}
	}
}

// columns reads so many descriptions and the packet that ends them.
func (w *wire) columns(count int) ([]column, error) {
	columns := make([]column, count)
	for i := range columns {
		packet, err := w.answer()
		if err != nil {
			return nil, err
		}
		if columns[i], err = parseColumn(packet); err != nil {
			return nil, err
		}
	}
	end, err := w.answer()
	if err == nil && (len(end) == 0 || len(end) >= 9 || end[0] != headEOF) {
		err = fmt.Errorf("%w: the columns do not end", errProtocol)
	}
	return columns, err
}

// parseColumn reads a column definition: catalog, schema, table, original table, name
// and original name as strings, then a block of fixed length.
func parseColumn(packet []byte) (column, error) {
	var c column
	for i := range 6 {
		n, used := snapshot.LengthEncoded(packet)
		if used == 0 || n > uint64(len(packet)-used) {
			return c, fmt.Errorf("%w: a column is cut off", errProtocol)
		}
		if i == 4 {
			c.name = string(packet[used : used+int(n)])
		}
		packet = packet[used+int(n):]
	}
	if len(packet) < 13 || packet[0] != 12 {
		return c, fmt.Errorf("%w: a column is cut off", errProtocol)
	}
	c.kind, c.flags = packet[7], binary.LittleEndian.Uint16(packet[8:])
	return c, nil
}

// send begins a new command.
func (w *wire) send(payload []byte) error {
	if w.at != w.end {
		return fmt.Errorf("%w: %d bytes are left of the last answer", errProtocol, w.end-w.at)
	}
	if len(payload) >= wholePacket {
		return fmt.Errorf("a statement of %d bytes", len(payload))
	}
	packet := append([]byte{byte(len(payload)), byte(len(payload) >> 8), byte(len(payload) >> 16), 0}, payload...)
	w.sequence = 1
	_, err := w.conn.Write(packet)
	return err
}

// answer is the next packet, or the error that it holds.
func (w *wire) answer() ([]byte, error) {
	packet, err := w.packet()
	if err != nil || len(packet) == wholePacket {
		packet, err = w.join(packet, err)
	}
	if err == nil && len(packet) > 0 && packet[0] == headErr {
		err = parseError(packet)
	}
	return packet, err
}

// packet is the next packet, good until the next one is asked for.
func (w *wire) packet() ([]byte, error) {
	if err := w.fill(4); err != nil {
		return nil, err
	}
	head := w.buffer[w.at:]
	size := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	if head[3] != w.sequence {
		return nil, fmt.Errorf("%w: packet %d came for packet %d", errProtocol, head[3], w.sequence)
	}
	w.sequence++
	if err := w.fill(4 + size); err != nil {
		return nil, err
	}
	packet := w.buffer[w.at+4 : w.at+4+size]
	w.at += 4 + size
	return packet, nil
}

// join puts a payload together that did not fit in one packet.
func (w *wire) join(packet []byte, err error) ([]byte, error) {
	w.joined = w.joined[:0]
	for err == nil {
		w.joined = append(w.joined, packet...)
		if len(packet) < wholePacket {
			return w.joined, nil
		}
		packet, err = w.packet()
	}
	return nil, err
}

// fill receives until so many bytes are there to be read.
func (w *wire) fill(size int) error {
	if w.end-w.at >= size {
		return nil
	}
	if w.at+size > len(w.buffer) {
		into := w.buffer
		switch {
		case size > len(w.buffer):
			into = make([]byte, size+receiveBytes)
		case len(w.buffer) > 4*receiveBytes && size <= receiveBytes:
			into = make([]byte, receiveBytes) // the large row is over
			if w.end-w.at > len(into) {
				into = w.buffer
			}
		}
		w.end = copy(into, w.buffer[w.at:w.end])
		w.buffer, w.at = into, 0
	}
	n, err := io.ReadAtLeast(w.conn, w.buffer[w.end:], size-(w.end-w.at))
	w.end += n
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	if err != nil {
		return fmt.Errorf("connection lost: %w", err)
	}
	return nil
}

// parseError reads an error packet: its number, a marker and SQLSTATE, the message.
func parseError(packet []byte) error {
	if len(packet) < 9 {
		return fmt.Errorf("%w: an error is cut off", errProtocol)
	}
	e := &gomysql.MyError{Code: binary.LittleEndian.Uint16(packet[1:])}
	rest := packet[3:]
	if rest[0] == '#' {
		e.State, rest = string(rest[1:6]), rest[6:]
	}
	e.Message = string(bytes.ToValidUTF8(rest, []byte("?")))
	return e
}
