package sparkplug

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"unsafe"
)

const (
	// room is the space that appendFast wants for a metric: at most 3+2 bytes of
	// tag, length and alias, 7 of timestamp, 2 of datatype, 2+longText of value,
	// and 8 that a store may reach beyond what it is to write.
	room = 160
	// longText is the longest text that appendFast takes: the length of the
	// metric then fits in a byte.
	longText = 100
)

// appendFast appends the first metrics of list as long as they are such as
// fastMetrics reads: with alias under 16,384, a timestamp between 1971 and 2109,
// a scalar of a common type, and nothing else. It returns how many.
//
// Its stores are not checked by Go, for speed: each metric begins with room
// bytes free in dst.
func appendFast(dst []byte, list []Metric) ([]byte, int) {
	for i := range list {
		m := &list[i]
		if !m.HasAlias || !m.HasTimestamp || m.Alias >= 1<<14 || uint64(m.Timestamp-1<<35) >= 1<<42-1<<35 ||
			m.Historical || m.Transient || m.Name != "" || m.Properties != nil || m.Metadata != nil ||
			!m.Value.some || m.Value.wire != wireNone {
			return dst, i
		}
		n := len(dst)
		if cap(dst)-n < room {
			dst = slices.Grow(dst, room)
		}
		buf := unsafe.Pointer(unsafe.SliceData(dst[n : n+room]))
		j := 4
		if m.Alias < 1<<7 {
			store(buf, 0, tagPayloadMetric|tagAlias<<16|m.Alias<<24)
		} else {
			store(buf, 0, tagPayloadMetric|tagAlias<<16|(m.Alias&0x7f|0x80|m.Alias>>7<<8)<<24)
			j = 5
		}
		store(buf, j, tagTimestamp|(spread(uint64(m.Timestamp))|sixth)<<8)
		j += 7
		if !m.OmitType {
			store(buf, j, tagDatatype|uint64(m.Value.typ)<<8)
			j += 2
		}
		if m.Value.typ == TypeDouble {
			*(*byte)(unsafe.Add(buf, j)) = tagDouble
			store(buf, j+1, m.Value.num)
			j += 9
		} else if j = storeValue(buf, j, &m.Value); j == 0 {
			return dst[:n], i
		}
		*(*byte)(unsafe.Add(buf, 1)) = byte(j - 2)
		dst = dst[:n+j]
	}
	return dst, len(list)
}

// store puts the 8 bytes of v at buf+j; the caller knows that there is room.
func store(buf unsafe.Pointer, j int, v uint64) {
	binary.LittleEndian.PutUint64((*[8]byte)(unsafe.Add(buf, j))[:], v)
}

// storeValue puts a value at buf+j and returns where it ends; 0 when it is not a
// short scalar in the range of its type.
func storeValue(buf unsafe.Pointer, j int, v *Value) int {
	num := v.num
	tag := byte(tagLong)
	switch v.typ {
	case TypeInt32:
		if uint64(int64(int32(num))) != num {
			return 0
		}
		tag, num = tagInt, uint64(uint32(num))
	case TypeUInt32:
		if num>>32 != 0 {
			return 0
		}
	case TypeInt64, TypeUInt64, TypeDateTime:
	case TypeBoolean:
		if num > 1 {
			return 0
		}
		store(buf, j, tagBoolean|num<<8)
		return j + 2
	case TypeFloat:
		store(buf, j, tagFloat|num<<8)
		return j + 5
	case TypeString:
		s := v.bytes()
		if len(s) > longText || !shortText(s) {
			return 0
		}
		store(buf, j, tagString|num<<8)
		return j + 2 + copy(unsafe.Slice((*byte)(unsafe.Add(buf, j+2)), longText), s)
	default:
		return 0
	}
	if num >= 1<<56 {
		return 0
	}
	n := (bits.Len64(num|1) + 6) / 7
	*(*byte)(unsafe.Add(buf, j)) = tag
	store(buf, j+1, spread(num)|continuation&(1<<(8*uint(n-1))-1))
	return j + 1 + n
}
