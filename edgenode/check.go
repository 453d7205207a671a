package edgenode

import (
	"cmp"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/magneto-iiot/magneto/internal/config"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// The bounds of spool.max_bytes.
const (
	presetSpool = 4 << 30
	leastSpool  = 64 << 10
)

// nobody is the ack_host that means that nobody's acknowledgements count.
const nobody = "none"

// compiler turns a Config into a plan and reports what is wrong with it.
type compiler struct {
	cfg     Config
	drivers Drivers
	check   *config.Checker
	plan    *plan

	published map[string]*definition // the templates that have instances, by name
}

// compile checks c and makes the plan of it. The plan is good only if check
// has no faults afterwards. With nil drivers, what only they know is not
// checked.
func compile(c Config, drivers Drivers, check *config.Checker) *plan {
	k := &compiler{cfg: withDefaults(c), drivers: drivers, check: check, plan: &plan{}, published: map[string]*definition{}}
	k.plan.cfg = k.cfg
	if c.Version != 1 {
		check.Faultf("version", "want version: 1, the only one there is")
	}
	k.ids()
	if c.MQTT.KeepAlive == 0 && check.Has("mqtt.keepalive") {
		check.Faultf("mqtt.keepalive", "want 1s to 65535s, not 0s: the session of a dead link would never end")
	}
	k.servers()
	k.classes()
	k.spool()
	k.links()
	k.plan.node = &deviceDef{}
	own := k.nodeMetrics()
	k.metrics(k.plan.node, own)
	k.plan.node.metrics = append(k.plan.node.metrics, scanRate(k.cfg.ScanClasses[classNormal].Std()))
	k.control()
	for i := range k.cfg.Devices {
		k.device(i)
	}
	k.define()
	k.plan.node.sign(own)
	k.tags()
	return k.plan
}

func (k *compiler) spool() {
	s := &k.cfg.Spool
	if s.ReplayRate < 0 {
		k.check.Faultf("spool.replay_rate", "want 1 or more samples a second")
	}
	if s.MaxBytes < leastSpool {
		k.check.Faultf("spool.max_bytes", "%s is less than 64KiB", s.MaxBytes)
	}
	if s.FSync < 0 || s.FSync.Std() > time.Hour {
		k.check.Faultf("spool.fsync", "%s is not in 1ms to 1h", s.FSync)
	}
	if s.MaxAge < 0 {
		k.check.Faultf("spool.max_age", "%s is negative", s.MaxAge)
	}
}

func withDefaults(c Config) Config {
	c.Node.DataDir = orText(c.Node.DataDir, "data")
	c.MQTT.ClientID = orText(c.MQTT.ClientID, c.Node.Group+"/"+c.Node.ID)
	c.MQTT.KeepAlive = cmp.Or(c.MQTT.KeepAlive, Duration(10*time.Second))
	if c.MQTT.Aliases == nil {
		c.MQTT.Aliases = new(true)
	}
	c.Spool.MaxBytes = cmp.Or(c.Spool.MaxBytes, presetSpool)
	c.Spool.MaxAge = cmp.Or(c.Spool.MaxAge, Duration(7*24*time.Hour))
	c.Spool.FSync = cmp.Or(c.Spool.FSync, Duration(time.Second))
	c.Spool.ReplayRate = cmp.Or(c.Spool.ReplayRate, 50000)
	classes := map[string]Duration{
		"fast": Duration(100 * time.Millisecond), "normal": Duration(time.Second), "slow": Duration(30 * time.Second),
	}
	maps.Copy(classes, c.ScanClasses)
	c.ScanClasses = classes
	return c
}

func (k *compiler) ids() {
	k.id("node.group", k.cfg.Node.Group)
	k.id("node.id", k.cfg.Node.ID)
	for path, host := range map[string]string{"mqtt.primary_host": k.cfg.MQTT.PrimaryHost, "mqtt.ack_host": k.cfg.MQTT.AckHost} {
		if host != "" {
			k.id(path, host)
		}
	}
}

// id checks a Sparkplug id.
//
// Spec: tck-id-intro-group-id-chars, tck-id-intro-edge-node-id-chars,
// tck-id-intro-device-id-chars.
func (k *compiler) id(path, id string) {
	switch i := strings.IndexAny(id, "/+#\x00"); {
	case id == "":
		k.check.Faultf(path, "%s is missing: give a Sparkplug id", k.missing(path))
	case i >= 0:
		k.check.Faultf(path, "%.40q is no Sparkplug id: it must not hold %q", id, id[i:i+1])
	case len(id) > sparkplug.MaxID:
		k.check.Faultf(path, "%.40q is no Sparkplug id: it has %d bytes, the limit is %d", id, len(id), sparkplug.MaxID)
	case !sparkplug.ValidID(id):
		k.check.Faultf(path, "%.40q is no Sparkplug id: it is not UTF-8", id)
	}
}

// missing names what is not in the file: by its key, or by its path when the
// section around it is missing too.
func (k *compiler) missing(path string) string {
	i := strings.LastIndexByte(path, '.')
	if k.check.Has("") && !k.check.Has(path[:max(i, 0)]) {
		return path
	}
	return path[i+1:]
}

func (k *compiler) servers() {
	m := &k.cfg.MQTT
	if len(m.Servers) == 0 {
		k.check.Faultf("mqtt.servers", "%s is missing: give at least one server, like mqtts://broker:8883", k.missing("mqtt.servers"))
	}
	for i, s := range m.Servers {
		if why := badServer(s, m.Insecure); why != "" {
			k.check.Faultf(config.Index("mqtt.servers", i), "%s", why)
		}
	}
	if ka := m.KeepAlive.Std(); ka < time.Second || ka > 65535*time.Second {
		k.check.Faultf("mqtt.keepalive", "want 1s to 65535s, not %s", m.KeepAlive)
	}
	if m.CA == "" && m.Cert == "" && m.Key == "" {
		return
	}
	if _, err := mqtt.LoadTLS(m.CA, m.Cert, m.Key); err != nil {
		path := "mqtt.cert"
		if strings.HasPrefix(err.Error(), "mqtt: ca:") {
			path = "mqtt.ca"
		}
		k.check.Faultf(path, "%s", strings.TrimPrefix(err.Error(), "mqtt: "))
	}
}

// badServer says what is wrong with the address of an MQTT server; empty:
// nothing.
func badServer(s string, insecure bool) string {
	const form = ": write mqtts://host:8883 or mqtt://host:1883"
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "no URL" + form
	case u.Scheme != "mqtt" && u.Scheme != "mqtts":
		return "want mqtt:// or mqtts://, not " + u.Scheme + "://" + form
	case u.Hostname() == "":
		return "no host" + form
	case badPort(u.Port()):
		return "port " + u.Port() + " is none of 1 to 65535" + form
	case u.User != nil:
		return "user and password go into mqtt.username and mqtt.password_file, not into the URL"
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return "too much behind the host" + form
	case u.Scheme == "mqtt" && !insecure && !loopback(u.Hostname()):
		return "mqtt:// sends everything in the clear, so it is for this machine only: use mqtts://, or set mqtt.insecure: true"
	}
	return ""
}

// badPort says whether a port, which may be empty, does not exist.
func badPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port != "" && (err != nil || n == 0)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (k *compiler) control() {
	if r := k.cfg.Control.Reboot; len(r) > 0 && r[0] == "" {
		k.check.Faultf("control.reboot", "the command is empty: write it like [systemctl, reboot], or leave it out")
	}
}

func (k *compiler) classes() {
	for _, name := range slices.Sorted(maps.Keys(k.cfg.ScanClasses)) {
		if d := k.cfg.ScanClasses[name].Std(); d < time.Millisecond || d > 24*time.Hour {
			k.check.Faultf(config.Key("scan_classes", name), "want 1ms to 24h, not %s", Duration(d))
		}
	}
}

// suggest is a question with the word that was meant, or nothing.
func suggest(word string, m []string) string {
	if near := config.Nearest(word, m); near != "" {
		return ": did you mean " + near + "?"
	}
	return ""
}

// among lists what may stand somewhere.
func among[V any](m map[string]V) string {
	if len(m) == 0 {
		return "there is none"
	}
	return "there is " + strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}
