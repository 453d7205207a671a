package modbus

import (
	"log/slog"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	lib "github.com/simonvetter/modbus"
)

// config is a checked connection.
type config struct {
	lib      lib.ClientConfiguration
	endpoint string
	unit     byte
	order    order
	limits   limits
	timeout  time.Duration
	pause    time.Duration
}

// read checks the options of a connection.
func read(cfg driver.Config) (config, error) {
	r := cfg.Reader()
	c := config{
		unit: byte(r.Int("unit", 1, 0, 255)),
		limits: limits{
			block: int(r.Int("max_block", 120, 1, maxRegisters)),
			gap:   int(r.Int("max_gap", 16, 0, maxRegisters)),
		},
		timeout: r.Duration("timeout", time.Second, time.Millisecond, time.Minute),
		pause:   r.Duration("connect_delay", 0, 0, time.Minute),
	}
	c.order, _ = parseOrder(r.Choice("order", "ABCD", orderNames...))
	c.readURL(r, r.String("url", ""))

	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c.lib.Timeout = c.timeout
	c.lib.Logger = slog.NewLogLogger(log.With("connection", cfg.Name).Handler(), slog.LevelDebug)
	return c, r.Done()
}

// readURL fills in where the device is.
func (c *config) readURL(r *driver.Reader, raw string) {
	const form = "write tcp://host:502, rtu+tcp://host:port or serial:///dev/serial/by-id/...?baud=19200&parity=even"
	u, err := url.Parse(raw)
	if err != nil || raw == "" {
		r.Fail("url", "%q is not a url; %s", raw, form)
		return
	}
	if u.Scheme == "serial" {
		c.readSerial(r, u)
		return
	}
	if u.Scheme != "tcp" && u.Scheme != "rtu+tcp" {
		r.Fail("url", "unknown scheme %q%s; %s", u.Scheme, driver.Suggest(u.Scheme, []string{"tcp", "rtu+tcp", "serial"}), form)
		return
	}
	port := u.Port()
	if port == "" && u.Scheme == "tcp" {
		port = "502"
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if u.Hostname() == "" || err != nil || number == 0 || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		r.Fail("url", "%q must be a host and a port and nothing else; %s", raw, form)
		return
	}
	host := net.JoinHostPort(strings.ToLower(u.Hostname()), port)
	c.endpoint = "tcp://" + host // of the device server, whatever it speaks
	c.lib.URL = "tcp://" + host
	if u.Scheme == "rtu+tcp" {
		c.lib.URL = "rtuovertcp://" + host
	}
}

// readSerial fills in a serial line.
func (c *config) readSerial(r *driver.Reader, u *url.URL) {
	if u.Host != "" || u.Path == "" {
		r.Fail("url", "the device of a serial line comes after three slashes, such as serial:///dev/serial/by-id/usb-x")
		return
	}
	c.endpoint = "serial://" + u.Path
	c.lib.URL = "rtu://" + u.Path
	c.lib.Speed, c.lib.DataBits = 19200, 8
	query := u.Query()
	number := func(key string, into *uint, low, high uint64) {
		n, err := strconv.ParseUint(query.Get(key), 10, 32)
		if err != nil || n < low || n > high {
			r.Fail("url", "%s=%s must be a number from %d to %d", key, query.Get(key), low, high)
			return
		}
		*into = uint(n)
	}
	for _, key := range slices.Sorted(maps.Keys(query)) {
		switch key {
		case "baud":
			number(key, &c.lib.Speed, 300, 4_000_000)
		case "data":
			number(key, &c.lib.DataBits, 5, 8)
		case "stop":
			number(key, &c.lib.StopBits, 1, 2)
		case "parity":
			parity, ok := map[string]uint{"none": lib.PARITY_NONE, "even": lib.PARITY_EVEN, "odd": lib.PARITY_ODD}[query.Get(key)]
			if !ok {
				r.Fail("url", "parity=%s must be none, even or odd", query.Get(key))
			}
			c.lib.Parity = parity
		default:
			r.Fail("url", "unknown setting %s%s", key, driver.Suggest(key, []string{"baud", "parity", "data", "stop"}))
		}
	}
}

func unitName(u byte) string { return strconv.Itoa(int(u)) }
