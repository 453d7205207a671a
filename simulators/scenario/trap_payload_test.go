package scenario_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	pb "github.com/magneto-iiot/magneto/proto/sparkplugpb"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// TestTrapsAreForty checks that each trap has its test.
func TestTrapsAreForty(t *testing.T) {
	files, err := filepath.Glob("trap_*_test.go")
	require.NoError(t, err)
	seen := map[string]string{}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				if m := regexp.MustCompile(`^TestTrap(\d\d)[A-Z]`).FindStringSubmatch(fn.Name.Name); m != nil {
					require.Empty(t, seen[m[1]], "trap %s twice", m[1])
					seen[m[1]] = fn.Name.Name
				}
			}
		}
	}
	for i := 1; i <= 40; i++ {
		number := string(rune('0'+i/10)) + string(rune('0'+i%10))
		require.NotEmpty(t, seen[number], "trap %s has no test", number)
	}
	require.Len(t, seen, 40)
}

// foreignly encodes one metric with the generated code.
func foreignly(t *testing.T, m *pb.Payload_Metric) sparkplug.Metric {
	t.Helper()
	b, err := proto.Marshal(&pb.Payload{Metrics: []*pb.Payload_Metric{m}})
	require.NoError(t, err)
	var p sparkplug.Payload
	require.NoError(t, p.Decode(b))
	require.Len(t, p.Metrics, 1)
	return p.Metrics[0]
}

// asForeign reads one of our metrics with the generated code.
func asForeign(t *testing.T, v sparkplug.Value) *pb.Payload_Metric {
	t.Helper()
	b, err := (&sparkplug.Payload{Metrics: []sparkplug.Metric{{Name: "A", Value: v}}}).Append(nil)
	require.NoError(t, err)
	p := new(pb.Payload)
	require.NoError(t, proto.Unmarshal(b, p))
	return p.Metrics[0]
}

// 23: signed numbers come sign-extended or masked to their width.
func TestTrap23SignedNumbers(t *testing.T) {
	for _, c := range []struct {
		typ  sparkplug.DataType
		sent uint32
		want int64
	}{
		{sparkplug.TypeInt8, 0xFB, -5},
		{sparkplug.TypeInt8, 0xFFFFFFFB, -5},
		{sparkplug.TypeInt8, 5, 5},
		{sparkplug.TypeInt16, 0xFFFB, -5},
		{sparkplug.TypeInt16, 0xFFFFFFFB, -5},
		{sparkplug.TypeInt32, 0xFFFFFFFB, -5},
		{sparkplug.TypeInt32, 0x80000000, math.MinInt32},
	} {
		m := foreignly(t, &pb.Payload_Metric{Datatype: new(uint32(c.typ)), Value: &pb.Payload_Metric_IntValue{IntValue: c.sent}})
		require.Equal(t, c.want, m.Value.Int(), "%s %x", c.typ, c.sent)
	}
	for _, typ := range []sparkplug.DataType{sparkplug.TypeInt8, sparkplug.TypeInt16, sparkplug.TypeInt32} {
		m := asForeign(t, sparkplug.Int(typ, -5))
		require.Equal(t, int32(-5), int32(m.GetIntValue()), typ)
	}
}

// 24: UInt32 is sent as long, and read from either field.
func TestTrap24UInt32(t *testing.T) {
	m := asForeign(t, sparkplug.Uint(sparkplug.TypeUInt32, math.MaxUint32))
	require.IsType(t, &pb.Payload_Metric_LongValue{}, m.Value)
	require.EqualValues(t, math.MaxUint32, m.GetLongValue())
	for _, m := range []*pb.Payload_Metric{
		{Datatype: new(uint32(7)), Value: &pb.Payload_Metric_LongValue{LongValue: math.MaxUint32}},
		{Datatype: new(uint32(7)), Value: &pb.Payload_Metric_IntValue{IntValue: math.MaxUint32}},
	} {
		require.EqualValues(t, math.MaxUint32, foreignly(t, m).Value.Uint())
	}
}

// 25: what is above 2^63 stays what it is.
func TestTrap25UInt64(t *testing.T) {
	v := foreignly(t, &pb.Payload_Metric{Datatype: new(uint32(8)), Value: &pb.Payload_Metric_LongValue{LongValue: math.MaxUint64}}).Value
	require.EqualValues(t, uint64(math.MaxUint64), v.Uint())
	require.Equal(t, `"18446744073709551615"`, string(sparkplug.AppendJSON(nil, v)))
	back, err := sparkplug.ParseJSON(sparkplug.TypeUInt64, sparkplug.AppendJSON(nil, v))
	require.NoError(t, err)
	require.True(t, back.Equal(v))
}

// 26: null is not zero.
func TestTrap26Null(t *testing.T) {
	m := asForeign(t, sparkplug.Null(sparkplug.TypeInt32))
	require.True(t, m.GetIsNull())
	require.Nil(t, m.Value)
	require.True(t, foreignly(t, m).Value.IsNull())
	zero := asForeign(t, sparkplug.Int(sparkplug.TypeInt32, 0))
	require.False(t, zero.GetIsNull())
	require.False(t, foreignly(t, zero).Value.IsNull())
}

// 27: arrays are packed bytes, little-endian.
func TestTrap27Arrays(t *testing.T) {
	texts, err := sparkplug.StringArray([]string{"ABC", "hello"})
	require.NoError(t, err)
	for _, c := range []struct {
		v    sparkplug.Value
		want []byte
	}{
		{sparkplug.ArrayOf([]int8{-17, 123}), []byte{0xEF, 0x7B}},
		{sparkplug.ArrayOf([]int16{-30000, 30000}), []byte{0xD0, 0x8A, 0x30, 0x75}},
		{sparkplug.BooleanArray([]bool{false, false, true, true, false, true, false, false, true, true, false, true}), []byte{12, 0, 0, 0, 0x34, 0xD0}},
		{texts, []byte("ABC\x00hello\x00")},
		{sparkplug.DateTimeArray([]int64{1256102875335}), []byte{0xC7, 0xD0, 0x90, 0x75, 0x24, 0x01, 0, 0}},
	} {
		require.Equal(t, c.want, asForeign(t, c.v).GetBytesValue(), c.v.Type())
		got := foreignly(t, &pb.Payload_Metric{Datatype: new(uint32(c.v.Type())), Value: &pb.Payload_Metric_BytesValue{BytesValue: c.want}})
		require.True(t, got.Value.Equal(c.v), c.v.Type())
	}
}

// 34: what is inside a compressed payload is bounded.
func TestTrap34Compression(t *testing.T) {
	plain, err := (&sparkplug.Payload{Metrics: []sparkplug.Metric{{Name: "A", Value: sparkplug.String(strings.Repeat("x", 100_000))}}}).Append(nil)
	require.NoError(t, err)
	for _, how := range []sparkplug.Compression{sparkplug.Deflate, sparkplug.Gzip} {
		b, err := sparkplug.AppendCompressed(nil, plain, how)
		require.NoError(t, err)
		require.Less(t, len(b), 1000)
		var p sparkplug.Payload
		require.NoError(t, p.Decode(b))
		_, err = p.Inflate(sparkplug.Limits{}, 50_000)
		require.True(t, errors.Is(err, sparkplug.ErrInflated))
		got, err := p.Inflate(sparkplug.Limits{}, 200_000)
		require.NoError(t, err)
		require.Equal(t, how, got)
		require.Equal(t, "A", p.Metrics[0].Name)
	}
}
