package changes

import "strconv"

// digitBytes are the bytes of up to nine decimal digits in a packed DECIMAL.
var digitBytes = [10]int{0, 1, 1, 2, 2, 3, 3, 4, 4, 4}

func decimalSize(precision, scale int) int {
	whole := precision - scale
	if whole < 0 {
		return -1
	}
	return whole/9*4 + digitBytes[whole%9] + scale/9*4 + digitBytes[scale%9]
}

// appendDecimal appends the text of a packed DECIMAL (MySQL source, "decimal2bin"):
// groups of nine digits, the first and the last shorter, the sign in the first
// bit, all bits inverted when it is negative. It has at least zeros digits before its point.
func appendDecimal(dst, packed []byte, precision, scale, zeros int) []byte {
	negative := packed[0]&0x80 == 0
	raw := make([]byte, len(packed))
	copy(raw, packed)
	raw[0] ^= 0x80
	if negative {
		for i := range raw {
			raw[i] ^= 0xff
		}
	}
	digits := make([]byte, 0, precision)
	take := func(count int) {
		size := digitBytes[count]
		text := strconv.FormatUint(big(raw[:size]), 10)
		raw = raw[size:]
		for range count - len(text) {
			digits = append(digits, '0')
		}
		digits = append(digits, text...)
	}
	whole := precision - scale
	if whole%9 > 0 {
		take(whole % 9)
	}
	for range whole/9 + scale/9 {
		take(9)
	}
	if scale%9 > 0 {
		take(scale % 9)
	}
	if negative {
		dst = append(dst, '-')
	}
	first := 0
	for first < whole && digits[first] == '0' && whole-first > max(zeros, 1) {
		first++
	}
	if whole == 0 {
		dst = append(dst, '0')
	}
	dst = append(dst, digits[first:whole]...)
	if scale > 0 {
		dst = append(append(dst, '.'), digits[whole:]...)
	}
	return dst
}
