package modbus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	lib "github.com/simonvetter/modbus"
)

// dialTimeout is the library's own, which cannot be set.
const dialTimeout = 5 * time.Second

// modbus is the driver.
type modbus struct {
	config
	link *link // nil before the first Connect
	up   bool
}

// Open checks the options of a connection. It is a driver.Open.
func Open(cfg driver.Config) (driver.Driver, error) {
	c, err := read(cfg)
	if err != nil {
		return nil, err
	}
	return &modbus{config: c}, nil
}

func (m *modbus) Endpoint() string { return m.endpoint }

func (m *modbus) Connect(ctx context.Context) error {
	m.drop()
	if m.link != nil {
		if err := m.link.wait(ctx, dialTimeout); err != nil {
			return m.offline("connect", err)
		}
	}
	client, err := lib.NewClient(&m.lib)
	if err != nil {
		return m.offline("connect", err)
	}
	m.link = &link{client: client}
	if err := m.link.do(ctx, (*lib.ModbusClient).Open); err != nil {
		return m.offline("connect", err)
	}
	m.up = true
	if m.pause > 0 && !pause(ctx, m.pause) {
		m.drop()
		return m.offline("connect", context.Cause(ctx))
	}
	return nil
}

// pause lets d pass; false when ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// drop closes the connection if there is one.
func (m *modbus) drop() {
	if m.up {
		m.up = false
		_ = m.link.close() // it is of no use any more
	}
}

// Close ends the connection. When a request was given up because its ctx ended,
// Close waits for it, no longer than the timeout of the connection.
func (m *modbus) Close() error {
	m.drop()
	if m.link == nil {
		return nil
	}
	if err := m.link.wait(context.Background(), m.timeout); err != nil {
		return m.offline("close", err)
	}
	return nil
}

func (m *modbus) Compile(tags []driver.Tag) (blocks []driver.Block, bad []driver.TagError) {
	items := make([]item, 0, len(tags))
	for _, t := range tags {
		it, err := m.compile(t)
		if err != nil {
			bad = append(bad, *err)
			continue
		}
		items = append(items, it)
	}
	for _, p := range makePlans(items, m.limits) {
		blocks = append(blocks, p.block())
	}
	return blocks, bad
}

// compile finds out where a tag lies.
func (m *modbus) compile(t driver.Tag) (item, *driver.TagError) {
	fault := func(field, format string, args ...any) *driver.TagError {
		return &driver.TagError{ID: t.ID, Addr: t.Addr, Field: field, Reason: fmt.Sprintf(format, args...)}
	}
	it := item{id: t.ID, unit: m.unit}
	if t.Unit != "" {
		n, err := strconv.ParseUint(t.Unit, 10, 8)
		if err != nil {
			return it, fault("unit", "%.20q is not a number from 0 to 255", t.Unit)
		}
		it.unit = byte(n)
	}
	o := m.order
	if t.Order != "" {
		var ok bool
		if o, ok = parseOrder(t.Order); !ok {
			return it, fault("order", "%.20q is not one of ABCD, CDAB, BADC, DCBA", t.Order)
		}
	}
	a, err := parseAddress(t.Addr)
	if err != nil {
		return it, fault("addr", "%v", err)
	}
	if it.layout, err = place(a, t.Type, o); err != nil {
		return it, fault("type", "%v", err)
	}
	block, _ := m.limits.of(a.table)
	if it.width > block {
		return it, fault("addr", "needs %d in one request, max_block allows %d", it.width, block)
	}
	if it.end() > 1<<16 {
		return it, fault("addr", "reaches to %d, the last address is 65535", it.end()-1)
	}
	return it, nil
}

// Split cuts a block in two. The modbus driver is a driver.Splitter.
func (m *modbus) Split(b *driver.Block) (left, right driver.Block, ok bool) {
	p, ok := b.Plan.(*plan)
	if !ok {
		return left, right, false
	}
	l, r, ok := p.split()
	if !ok {
		return left, right, false
	}
	return l.block(), r.block(), true
}

var errForeign = errors.New("the block is of another driver, or has too little room for its samples")

func (m *modbus) Read(ctx context.Context, b *driver.Block, out []driver.Sample) error {
	p, ok := b.Plan.(*plan)
	if !ok || len(out) < len(p.items) {
		return &driver.Error{Op: "read", At: m.endpoint, Class: driver.ErrRefused, Err: errForeign}
	}
	var raw []byte
	var bits []bool
	err := m.request(ctx, p.unit, p.op, func(c *lib.ModbusClient) (err error) {
		switch p.table {
		case coil:
			bits, err = c.ReadCoils(uint16(p.start), uint16(p.count))
		case discrete:
			bits, err = c.ReadDiscreteInputs(uint16(p.start), uint16(p.count))
		case holding:
			raw, err = c.ReadRawBytes(uint16(p.start), uint16(2*p.count), lib.HOLDING_REGISTER)
		case input:
			raw, err = c.ReadRawBytes(uint16(p.start), uint16(2*p.count), lib.INPUT_REGISTER)
		}
		return err
	})
	if err != nil {
		return err
	}
	now := time.Now().UnixMilli()
	for i := range p.items {
		out[i] = p.sample(&p.items[i], raw, bits)
		out[i].Time = now
	}
	return nil
}

// op says what reading the plan is.
func (p *plan) op() string {
	return fmt.Sprintf("read %s:%d..%d", p.table, p.start, p.start+p.count-1)
}

// sample cuts an item out of the reply to its plan.
func (p *plan) sample(it *item, raw []byte, bits []bool) driver.Sample {
	s := driver.Sample{ID: it.id, Quality: driver.Good}
	at := int(it.start) - p.start
	if p.table.bits() {
		s.Value = it.decodeBits(bits[at : at+it.width])
		return s
	}
	v, err := it.decode(raw[2*at : 2*(at+it.width)])
	if err != nil {
		s.Quality = driver.Bad
	}
	s.Value = v
	return s
}

// request runs one request of a unit and gives its error its class. A fault of
// the connection closes it.
func (m *modbus) request(ctx context.Context, unit byte, op func() string, call func(*lib.ModbusClient) error) error {
	if !m.up {
		return m.offline(op(), errors.New("not connected"))
	}
	err := m.link.do(ctx, func(c *lib.ModbusClient) error {
		if err := c.SetUnitId(unit); err != nil {
			return err
		}
		return call(c)
	})
	if err == nil {
		return nil
	}
	class := classify(err)
	if errors.Is(err, errGivenUp) && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		class = driver.ErrOffline // nobody waited long enough to blame the unit
	}
	if errors.Is(class, driver.ErrOffline) {
		m.drop()
	}
	return &driver.Error{Op: op(), At: m.endpoint + " unit " + unitName(unit), Class: class, Err: err}
}

// silent is the class of a request without a reply.
var silent = errors.Join(driver.ErrUnit, driver.ErrOffline)

// classify gives the class of an error of a request.
func classify(err error) error {
	switch {
	case errors.Is(err, lib.ErrRequestTimedOut), errors.Is(err, errGivenUp):
		return silent
	case errors.Is(err, lib.ErrGWPathUnavailable), errors.Is(err, lib.ErrGWTargetFailedToRespond):
		return driver.ErrUnit
	case errors.Is(err, lib.ErrIllegalFunction), errors.Is(err, lib.ErrIllegalDataAddress), errors.Is(err, lib.ErrIllegalDataValue):
		return driver.ErrAddress
	case errors.Is(err, lib.ErrServerDeviceFailure), errors.Is(err, lib.ErrServerDeviceBusy),
		errors.Is(err, lib.ErrAcknowledge), errors.Is(err, lib.ErrMemoryParityError),
		strings.HasPrefix(err.Error(), "unknown exception code"): // the library has no type for these
		return driver.ErrRefused
	}
	return driver.ErrOffline
}

func (m *modbus) offline(op string, cause error) error {
	if e, ok := errors.AsType[*net.OpError](cause); ok {
		cause = e.Err // the address is in At already
	}
	return &driver.Error{Op: op, At: m.endpoint, Class: driver.ErrOffline, Err: cause}
}
