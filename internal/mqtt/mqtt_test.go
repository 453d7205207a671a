package mqtt_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/internal/mqtt"
)

func TestRoundTrip(t *testing.T) {
	addr := serve(t, broker.Config{})
	got, on := inbox()
	sub := dial(t, mqtt.Config{Server: server(addr), ClientID: "sub", OnMessage: on})
	pub := dial(t, mqtt.Config{Server: server(addr), ClientID: "pub"})
	ok(t, sub.Subscribe(t.Context(), mqtt.Filter{Topic: "a/+", QoS: 2}, mqtt.Filter{Topic: "b/#", QoS: 1}))
	for qos := range byte(3) {
		for i := range 600 { // more than the receive maximum
			ok(t, pub.Publish(t.Context(), mqtt.Message{Topic: "a/x", QoS: qos, Payload: fmt.Append(nil, i)}))
		}
		for i := range 600 {
			m := receive(t, got)
			if m.Topic != "a/x" || string(m.Payload) != fmt.Sprint(i) || m.QoS != qos || m.Retain {
				t.Fatalf("message %d of QoS %d came as %+v", i, qos, m)
			}
		}
	}
	ok(t, pub.Publish(t.Context(), mqtt.Message{Topic: "b", QoS: 1, Retain: true, Payload: []byte("kept")}))
	if m := receive(t, got); m.Retain {
		t.Errorf("a live message came as kept: %+v", m)
	}
	late, on := inbox()
	conn := dial(t, mqtt.Config{Server: server(addr), OnMessage: on})
	ok(t, conn.Subscribe(t.Context(), mqtt.Filter{Topic: "b", QoS: 1}))
	if m := receive(t, late); !m.Retain || string(m.Payload) != "kept" || m.QoS != 1 {
		t.Errorf("a kept message came as %+v", m)
	}
	big := strings.Repeat("x", 1<<20)
	ok(t, pub.Publish(t.Context(), mqtt.Message{Topic: "b/big", QoS: 1, Payload: []byte(big)}))
	if m := receive(t, got); string(m.Payload) != big {
		t.Errorf("1 MiB came as %d bytes", len(m.Payload))
	}
}

func TestWill(t *testing.T) {
	addr := serve(t, broker.Config{})
	got, on := inbox()
	watcher := dial(t, mqtt.Config{Server: server(addr), OnMessage: on})
	ok(t, watcher.Subscribe(t.Context(), mqtt.Filter{Topic: "#", QoS: 1}))
	tests := map[string]struct {
		end  func(*mqtt.Conn) error
		will bool
	}{
		"disconnect": {func(c *mqtt.Conn) error { return c.Disconnect(t.Context()) }, false},
		"abandon":    {func(c *mqtt.Conn) error { return c.Abandon(t.Context()) }, true},
		"close":      {func(c *mqtt.Conn) error { return c.Close() }, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := dial(t, mqtt.Config{Server: server(addr), Will: &mqtt.Message{Topic: "will/" + name, QoS: 1, Payload: []byte("gone")}})
			ok(t, tt.end(c))
			if err := ended(t, c); err != nil {
				t.Errorf("Err() = %v, want nil", err)
			}
			if tt.will {
				if m := receive(t, got); m.Topic != "will/"+name || string(m.Payload) != "gone" || m.QoS != 1 {
					t.Errorf("will came as %+v", m)
				}
			}
			err := c.Publish(t.Context(), mqtt.Message{Topic: "late"})
			if !errors.Is(err, mqtt.ErrClosed) {
				t.Errorf("Publish after the end: %v, want ErrClosed", err)
			}
			ok(t, watcher.Publish(t.Context(), mqtt.Message{Topic: "mark", QoS: 1}))
			if m := receive(t, got); m.Topic != "mark" {
				t.Errorf("%+v came though there is no will left", m)
			}
		})
	}
}

func TestTakenOver(t *testing.T) {
	addr := serve(t, broker.Config{})
	first := dial(t, mqtt.Config{Server: server(addr), ClientID: "twin"})
	got, on := inbox()
	second := dial(t, mqtt.Config{Server: server(addr), ClientID: "twin", OnMessage: on})
	err := ended(t, first)
	if bye, is := errors.AsType[*mqtt.ServerError](err); !is || !bye.Taken() {
		t.Errorf("first.Err() = %v, want session taken over", err)
	}
	ok(t, second.Subscribe(t.Context(), mqtt.Filter{Topic: "t"}))
	ok(t, second.Publish(t.Context(), mqtt.Message{Topic: "t"}))
	receive(t, got)
}

func TestSubscribeRefused(t *testing.T) {
	addr := serve(t, broker.Config{Policy: &broker.Policy{
		Subscribe: func(_ broker.Identity, filter string) bool { return filter != "secret/#" },
	}})
	c := dial(t, mqtt.Config{Server: server(addr)})
	err := c.Subscribe(t.Context(), mqtt.Filter{Topic: "open/#"}, mqtt.Filter{Topic: "secret/#"})
	if err == nil || !strings.Contains(err.Error(), `"secret/#": not authorized`) || strings.Contains(err.Error(), "open") {
		t.Errorf("Subscribe = %v, want one that names secret/#", err)
	}
}

func TestRefusesBadStrings(t *testing.T) {
	addr := serve(t, broker.Config{})
	c := dial(t, mqtt.Config{Server: server(addr)})
	long := strings.Repeat("x", mqtt.MaxString+1)
	for name, m := range map[string]mqtt.Message{
		"long":     {Topic: long},
		"empty":    {Topic: ""},
		"utf8":     {Topic: "a\xff"},
		"nul":      {Topic: "a\x00"},
		"wildcard": {Topic: "a/+"},
		"qos":      {Topic: "a", QoS: 3},
	} {
		if err := c.Publish(t.Context(), m); err == nil {
			t.Errorf("%s: published", name)
		}
	}
	for _, f := range []string{long, "", "a\xff", "a/b+", "#/a", "a/#b"} {
		if err := c.Subscribe(t.Context(), mqtt.Filter{Topic: f}); err == nil {
			t.Errorf("subscribed to %.20q", f)
		}
	}
	if err := c.Subscribe(t.Context()); err == nil {
		t.Error("subscribed to nothing")
	}
	ok(t, c.Publish(t.Context(), mqtt.Message{Topic: "still/there", QoS: 1}))
}

func TestConfigFaults(t *testing.T) {
	_, err := mqtt.Dial(t.Context(), mqtt.Config{
		Server: "tcp://user:hunter2@x", ClientID: "a\x00", Username: "\xff", KeepAlive: time.Millisecond, Will: &mqtt.Message{},
		Password: strings.Repeat("x", mqtt.MaxString+1),
	})
	bad, is := errors.AsType[*mqtt.DialError](err)
	if !is || bad.Sent {
		t.Fatalf("Dial = %v, want a DialError that sent nothing", err)
	}
	for _, want := range []string{"scheme", "client id", "username", "keepalive", "will", "password"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("password printed: %v", err)
	}
}

func TestPasswordNeverPrints(t *testing.T) {
	c := mqtt.Config{Server: "mqtt://h", Username: "u", Password: "hunter2"}
	for _, s := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), c.LogValue().String(), fmt.Sprint(&c)} {
		if strings.Contains(s, "hunter2") || !strings.Contains(s, "mqtt://h") {
			t.Errorf("prints as %s", s)
		}
	}
}

func TestBackoff(t *testing.T) {
	b := mqtt.Backoff{Min: time.Second, Max: 10 * time.Second}
	tests := []struct {
		attempt int
		rnd     float64
		want    time.Duration
	}{
		{0, 0, 500 * time.Millisecond},
		{0, 0.5, 750 * time.Millisecond},
		{1, 0, time.Second},
		{3, 0, 4 * time.Second},
		{4, 0, 5 * time.Second},
		{1 << 40, 0.5, 7500 * time.Millisecond},
	}
	for _, tt := range tests {
		if got := b.Next(tt.attempt, tt.rnd); got != tt.want {
			t.Errorf("Next(%d, %v) = %v, want %v", tt.attempt, tt.rnd, got, tt.want)
		}
	}
	if got := (mqtt.Backoff{}).Next(100, 0.999); got < 59*time.Second || got >= time.Minute {
		t.Errorf("the zero Backoff waits up to %v, want just under a minute", got)
	}
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	ca, cert, key := certificates(t, dir)
	pair, err := tls.LoadX509KeyPair(cert, key)
	ok(t, err)
	addr := serve(t, broker.Config{TLS: &tls.Config{Certificates: []tls.Certificate{pair}}})
	good, err := mqtt.LoadTLS(ca, "", "")
	ok(t, err)
	c := dial(t, mqtt.Config{Server: "mqtts://" + addr, TLS: good})
	ok(t, c.Publish(t.Context(), mqtt.Message{Topic: "t", QoS: 1}))

	_, err = mqtt.Dial(t.Context(), mqtt.Config{Server: "mqtts://" + addr})
	if bad, is := errors.AsType[*mqtt.DialError](err); !is || bad.Sent || !strings.Contains(err.Error(), "tls") {
		t.Errorf("an unknown authority gave %v, want a DialError of tls that sent nothing", err)
	}
}

func TestLoadTLSFaults(t *testing.T) {
	dir := t.TempDir()
	_, cert, key := certificates(t, dir)
	empty := filepath.Join(dir, "empty.pem")
	ok(t, os.WriteFile(empty, nil, 0o600))
	for name, f := range map[string][3]string{
		"no file": {filepath.Join(dir, "none"), "", ""},
		"no pem":  {empty, "", ""},
		"no key":  {"", cert, ""},
		"no cert": {"", "", key},
		"swapped": {"", key, cert},
	} {
		if _, err := mqtt.LoadTLS(f[0], f[1], f[2]); err == nil || !strings.HasPrefix(err.Error(), "mqtt: c") {
			t.Errorf("%s: LoadTLS = %v", name, err)
		}
	}
	c, err := mqtt.LoadTLS("", cert, key)
	if err != nil || len(c.Certificates) != 1 || c.MinVersion != tls.VersionTLS12 {
		t.Errorf("LoadTLS = %+v, %v", c, err)
	}
}
