package sparkplug

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// CompressedUUID is the uuid of a payload whose body is another payload,
// compressed. The specification does not know it; Eclipse Tahu and the npm
// clients do.
const CompressedUUID = "SPBV1.0_COMPRESSED"

// metricAlgorithm names the algorithm; without it it is DEFLATE.
const metricAlgorithm = "algorithm"

// Compression is how a payload is compressed.
type Compression uint8

// The algorithms in use.
const (
	Uncompressed Compression = iota
	Deflate                  // zlib, as the others who say DEFLATE write it
	Gzip
)

// String is the name on the wire.
func (c Compression) String() string {
	switch c {
	case Uncompressed:
		return "NONE"
	case Deflate:
		return "DEFLATE"
	case Gzip:
		return "GZIP"
	}
	return fmt.Sprintf("Compression(%d)", uint8(c))
}

// MaxInflated is a sensible limit for Inflate, in bytes.
const MaxInflated = 16 << 20

// ErrInflated is wrapped by the error of Inflate when there is more than the
// limit allows.
var ErrInflated = errors.New("sparkplug: the inflated payload is too long")

var (
	deflaters = sync.Pool{New: func() any { return zlib.NewWriter(io.Discard) }}
	gzippers  = sync.Pool{New: func() any { return gzip.NewWriter(io.Discard) }}
)

// AppendCompressed appends to dst a payload that holds the bytes of another,
// compressed. It is an error if c is none of the algorithms.
func AppendCompressed(dst, payload []byte, c Compression) ([]byte, error) {
	var body bytes.Buffer
	var err error
	switch c {
	case Deflate:
		w := deflaters.Get().(*zlib.Writer)
		defer deflaters.Put(w)
		w.Reset(&body)
		_, err = w.Write(payload)
		err = errors.Join(err, w.Close())
	case Gzip:
		w := gzippers.Get().(*gzip.Writer)
		defer gzippers.Put(w)
		w.Reset(&body)
		_, err = w.Write(payload)
		err = errors.Join(err, w.Close())
	default:
		err = fmt.Errorf("sparkplug: %v is no algorithm to compress with", c)
	}
	if err != nil {
		return dst, err
	}
	outer := Payload{
		UUID: CompressedUUID, Body: body.Bytes(),
		Metrics: []Metric{{Name: metricAlgorithm, Value: String(c.String())}},
	}
	return outer.Append(dst)
}

// Compression says how p is compressed. An algorithm that is not known is an
// error.
func (p *Payload) Compression() (Compression, error) {
	if p.UUID != CompressedUUID {
		return Uncompressed, nil
	}
	for i := range p.Metrics {
		m := &p.Metrics[i]
		if m.Name != metricAlgorithm {
			continue
		}
		v, err := m.Value.As(TypeString)
		switch name := v.Str(); {
		case err == nil && strings.EqualFold(name, "DEFLATE"):
			return Deflate, nil
		case err == nil && strings.EqualFold(name, "GZIP"):
			return Gzip, nil
		default:
			return Uncompressed, fmt.Errorf("sparkplug: compressed with %.32q, which is neither DEFLATE nor GZIP", name)
		}
	}
	return Deflate, nil
}

// Inflate makes p the payload inside it, if it is compressed, and says how it
// was; else it changes nothing. What is inside may have up to limit bytes, and
// may not be compressed again. After an error p is as it was.
func (p *Payload) Inflate(lim Limits, limit int) (Compression, error) {
	c, err := p.Compression()
	if err != nil || c == Uncompressed {
		return c, err
	}
	b, err := p.Inflated(limit)
	if err != nil {
		return c, err
	}
	var in Payload
	if err := in.DecodeLimits(b, lim); err != nil {
		return c, fmt.Errorf("sparkplug: inflated payload: %w", err)
	}
	if in.UUID == CompressedUUID {
		return c, errors.New("sparkplug: the inflated payload is compressed again")
	}
	*p = in
	return c, nil
}

// Inflated returns the bytes of the payload inside p, which may be up to limit;
// an error if p is not compressed.
func (p *Payload) Inflated(limit int) ([]byte, error) {
	c, err := p.Compression()
	if err == nil && c == Uncompressed {
		err = errors.New("sparkplug: the payload is not compressed")
	}
	if err != nil {
		return nil, err
	}
	return inflate(c, p.Body, limit)
}

func inflate(c Compression, body []byte, limit int) ([]byte, error) {
	var r io.ReadCloser
	var err error
	if c == Gzip {
		r, err = gzip.NewReader(bytes.NewReader(body))
	} else {
		r, err = zlib.NewReader(bytes.NewReader(body))
	}
	if err != nil {
		return nil, fmt.Errorf("sparkplug: %v: %w", c, err)
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("sparkplug: %v: %w", c, err)
	}
	if len(b) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrInflated, limit)
	}
	return b, nil
}
