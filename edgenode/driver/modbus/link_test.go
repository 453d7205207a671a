package modbus

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	lib "github.com/simonvetter/modbus"
)

func newLink(t *testing.T) *link {
	t.Helper()
	c, err := lib.NewClient(&lib.ClientConfiguration{URL: "tcp://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	return &link{client: c}
}

// TestGivenUp: a call that is given up goes on alone; wait sees its end.
func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		slow := func(*lib.ModbusClient) error { time.Sleep(3 * time.Second); return nil }
		start := time.Now()
		if err := l.do(ctx, slow); !errors.Is(err, errGivenUp) || time.Since(start) != time.Second {
			t.Errorf("do = %v after %v; want errGivenUp after 1s", err, time.Since(start))
		}
		if err := l.close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := l.wait(t.Context(), time.Second); err == nil || time.Since(start) != 2*time.Second {
			t.Errorf("wait of 1s: %v after %v; want an error after 2s", err, time.Since(start))
		}
		if err := l.wait(t.Context(), time.Minute); err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("wait: %v after %v; want nil after 3s", err, time.Since(start))
		}
		if err := l.do(ctx, slow); !errors.Is(err, errGivenUp) || time.Since(start) != 3*time.Second {
			t.Errorf("do with a ctx that has ended: %v after %v", err, time.Since(start))
		}
	})
}

// TestPanic: a panic of the library is an error that closes the connection.
func TestPanic(t *testing.T) {
	l := newLink(t)
	err := l.do(t.Context(), func(*lib.ModbusClient) error { panic("index out of range") })
	if err == nil || !errors.Is(classify(err), driver.ErrOffline) {
		t.Errorf("do = %v; want an error of class ErrOffline", err)
	}
	if err := l.wait(t.Context(), time.Minute); err != nil {
		t.Errorf("wait with nothing given up: %v", err)
	}
}
