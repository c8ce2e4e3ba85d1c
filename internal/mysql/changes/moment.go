package changes

import (
	"encoding/binary"
	"time"
)

// moment is a date, a time, or both, in its parts, as MySQL stores them: not
// necessarily one that a calendar has.
type moment struct {
	negative          bool
	year, month, day  int
	hour, minute, sec int
	micro             int
}

// date appends the protocol's form of a DATE, DATETIME or TIMESTAMP: as short as it
// can be (MySQL source documentation, "Binary Protocol Value").
func (m moment) date(dst []byte) []byte {
	hasTime := m.hour|m.minute|m.sec != 0
	if !hasTime && m.micro == 0 && m.year|m.month|m.day == 0 {
		return dst
	}
	dst = append(binary.LittleEndian.AppendUint16(dst, uint16(m.year)), byte(m.month), byte(m.day))
	if !hasTime && m.micro == 0 {
		return dst
	}
	dst = append(dst, byte(m.hour), byte(m.minute), byte(m.sec))
	if m.micro == 0 {
		return dst
	}
	return binary.LittleEndian.AppendUint32(dst, uint32(m.micro))
}

// time appends the protocol's form of a TIME.
func (m moment) time(dst []byte) []byte {
	if m.hour|m.minute|m.sec|m.micro == 0 {
		return dst
	}
	sign := byte(0)
	if m.negative {
		sign = 1
	}
	dst = binary.LittleEndian.AppendUint32(append(dst, sign), uint32(m.hour/24))
	dst = append(dst, byte(m.hour%24), byte(m.minute), byte(m.sec))
	if m.micro == 0 {
		return dst
	}
	return binary.LittleEndian.AppendUint32(dst, uint32(m.micro))
}

// microsOf is a fraction of a second of one to three bytes: two digits in each.
func microsOf(fraction []byte) int {
	micros := int(big(fraction))
	for range 3 - len(fraction) {
		micros *= 100
	}
	return micros
}

func datetime2(value []byte) moment {
	m := ofPacked(int64(big(value[:5])) - 1<<39)
	m.micro = microsOf(value[5:])
	return m
}

// ofPacked reads year*13+month, day, hour, minute and second from their bits.
func ofPacked(v int64) moment {
	date, clock := v>>17, int(v&(1<<17-1))
	month := int(date >> 5)
	return moment{year: month / 13, month: month % 13, day: int(date & 31), hour: clock >> 12, minute: clock >> 6 & 63, sec: clock & 63}
}

func timestamp2(value []byte) moment {
	seconds, micros := int64(big(value[:4])), microsOf(value[4:])
	if seconds == 0 && micros == 0 {
		return moment{}
	}
	t := time.Unix(seconds, 0).UTC()
	return moment{year: t.Year(), month: int(t.Month()), day: t.Day(), hour: t.Hour(), minute: t.Minute(), sec: t.Second(), micro: micros}
}

func time2(value []byte) moment {
	// As one number, the fraction is negative when the whole is.
	fraction := value[3:]
	whole := int64(big(value)) - 1<<(8*len(value)-1)
	negative := whole < 0
	if negative {
		whole = -whole
	}
	seconds := int(whole >> (8 * len(fraction)))
	micros := int(whole & (1<<(8*len(fraction)) - 1))
	for range 3 - len(fraction) {
		micros *= 100
	}
	return moment{negative: negative, hour: seconds >> 12 & 1023, minute: seconds >> 6 & 63, sec: seconds & 63, micro: micros}
}
