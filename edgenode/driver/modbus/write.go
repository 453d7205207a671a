package modbus

import (
	"context"
	"errors"
	"fmt"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/sparkplug"
	lib "github.com/simonvetter/modbus"
)

func (m *modbus) Write(ctx context.Context, writes []driver.Write) []error {
	errs := make([]error, len(writes))
	for i, w := range writes {
		if i > 0 && errors.Is(errs[i-1], driver.ErrOffline) {
			errs[i] = errs[i-1]
			continue
		}
		errs[i] = m.write(ctx, w)
	}
	return errs
}

// write sets one tag: function 5 or 6 for one item, 15 or 16 for several.
func (m *modbus) write(ctx context.Context, w driver.Write) error {
	op := func() string { return "write " + w.Tag.Addr }
	it, bad := m.compile(w.Tag)
	if bad != nil {
		return m.refuse(op(), driver.ErrAddress, *bad)
	}
	if it.table.readOnly() {
		return m.refuse(op(), driver.ErrReadOnly, errors.New(it.takesNone()))
	}
	if w.Value.IsNull() || w.Value.Type() != it.typ {
		return m.refuse(op(), driver.ErrValue, fmt.Errorf("%s wanted, not %s", it.typ, describe(w.Value)))
	}
	most := maxWriteRegisters
	if it.table.bits() {
		most = maxWriteBits
	}
	if it.width > most {
		return m.refuse(op(), driver.ErrValue, fmt.Errorf("one request writes at most %d, not %d", most, it.width))
	}
	if it.table.bits() {
		return m.writeCoils(ctx, it, op, w.Value)
	}
	return m.writeRegisters(ctx, it, op, w.Value)
}

// CheckWrite says of input registers and discrete inputs that they take no
// writes. The modbus driver is a driver.WriteChecker.
func (m *modbus) CheckWrite(t driver.Tag) *driver.TagError {
	it, bad := m.compile(t)
	if bad != nil || !it.table.readOnly() {
		return bad
	}
	return &driver.TagError{ID: t.ID, Addr: t.Addr, Field: "addr", Reason: it.takesNone()}
}

func (i item) takesNone() string { return i.table.String() + " is a table that takes no writes" }

func (m *modbus) writeCoils(ctx context.Context, it item, op func() string, v sparkplug.Value) error {
	bits, err := it.encodeBits(v)
	if err != nil {
		return m.refuse(op(), driver.ErrValue, err)
	}
	return m.request(ctx, it.unit, op, func(c *lib.ModbusClient) error {
		if it.typ == sparkplug.TypeBoolean {
			return c.WriteCoil(it.start, bits[0])
		}
		return c.WriteCoils(it.start, bits)
	})
}

func (m *modbus) writeRegisters(ctx context.Context, it item, op func() string, v sparkplug.Value) error {
	raw := make([]byte, 2*it.width)
	if it.shared() {
		var now []byte
		err := m.request(ctx, it.unit, op, func(c *lib.ModbusClient) (err error) {
			now, err = c.ReadRawBytes(it.start, uint16(len(raw)), lib.HOLDING_REGISTER)
			return err
		})
		if err != nil {
			return err
		}
		copy(raw, now)
	}
	if err := it.encode(raw, v); err != nil {
		return m.refuse(op(), driver.ErrValue, err)
	}
	return m.request(ctx, it.unit, op, func(c *lib.ModbusClient) error {
		if it.width == 1 && !it.typ.Array() && !characters(it.typ) {
			return c.WriteRegister(it.start, uint16(raw[0])<<8|uint16(raw[1]))
		}
		return c.WriteRawBytes(it.start, raw)
	})
}

// refuse is an error of a write that was not sent.
func (m *modbus) refuse(op string, class, cause error) error {
	return &driver.Error{Op: op, At: m.endpoint, Class: class, Err: cause}
}

func describe(v sparkplug.Value) string {
	if v.IsNull() {
		return "null"
	}
	return v.Type().String()
}
