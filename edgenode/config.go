package edgenode

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/internal/config"
)

// Duration is a span of time; in files "100ms", "1s", "7d". Convert a
// time.Duration to it.
type Duration = config.Duration

// Size is a number of bytes; in files "64KiB", "4GiB".
type Size = config.Size

// Secret is a text that does not print.
type Secret = config.Secret

// Drivers are the drivers that a configuration may name.
type Drivers map[string]driver.Open

// Config says what an edge node is, where it connects and what it reads. Node,
// MQTT.Servers and what they are to carry are required; every other field
// works at its zero value. It is what the file of [Load] holds.
type Config struct {
	Version     int                   `yaml:"version" doc:"of this format: 1"`
	Node        Node                  `yaml:"node" doc:"who this edge node is"`
	MQTT        MQTT                  `yaml:"mqtt" doc:"where it connects"`
	Control     Control               `yaml:"control" doc:"what hosts may have the node itself do"`
	Spool       Spool                 `yaml:"spool" doc:"where reports are kept on disk until they have arrived"`
	ScanClasses map[string]Duration   `yaml:"scan_classes" doc:"how often to read, by name; default fast: 100ms, normal: 1s, slow: 30s"`
	Connections map[string]Connection `yaml:"connections" doc:"to equipment, by name"`
	Templates   map[string]Template   `yaml:"templates" doc:"metrics to be used by devices, by name"`
	Use         []Use                 `yaml:"use" doc:"templates of the node itself, whose metrics are held in memory"`
	Metrics     []Metric              `yaml:"metrics" doc:"of the node itself, held in memory"`
	Devices     []Device              `yaml:"devices" doc:"what the node reports for"`
}

// Node is who an edge node is.
type Node struct {
	Group   string `yaml:"group" doc:"Sparkplug group id"`
	ID      string `yaml:"id" doc:"edge node id, unique in its group"`
	DataDir string `yaml:"data_dir" doc:"where it keeps what must survive a restart; default: data, beside the file"`
}

// MQTT is where and how an edge node connects.
type MQTT struct {
	Servers      []string `yaml:"servers" doc:"mqtts://host:8883 or mqtt://host:1883, walked in order, on one at a time"`
	ClientID     string   `yaml:"client_id" doc:"default: group/id"`
	Username     string   `yaml:"username"`
	Password     Secret   `yaml:"password"`
	PasswordFile string   `yaml:"password_file" doc:"file that holds the password"`
	CA           string   `yaml:"ca" doc:"PEM file with the roots to trust; default: the system's"`
	Cert         string   `yaml:"cert" doc:"PEM file with the certificate of this node"`
	Key          string   `yaml:"key" doc:"PEM file with the key of cert"`
	Insecure     bool     `yaml:"insecure" doc:"allow mqtt:// to other machines"`
	KeepAlive    Duration `yaml:"keepalive" doc:"a dead link is noticed within 1.5 of it; default 10s"`
	PrimaryHost  string   `yaml:"primary_host" doc:"host id to wait for; empty: none"`
	HostState    string   `yaml:"host_state" enum:"v3,v2,both" doc:"how that host says that it is there: as in Sparkplug 3 (spBv1.0/STATE/...), as in 2.2 (STATE/...), or both; default v3"`
	AckHost      string   `yaml:"ack_host" doc:"host whose delivery acknowledgements count; default primary_host; none: nobody's"`
	Compression  string   `yaml:"compression" enum:"none,deflate,gzip" doc:"of births and data of more than 512 bytes, for hosts that know it; default none"`
	Aliases      *bool    `yaml:"aliases" doc:"send data by alias instead of by name; default true"`
}

// Control is what hosts may have the node itself do, besides a rebirth, a new
// scan rate and a move to the next server.
type Control struct {
	Reboot []string `yaml:"reboot" doc:"command and its arguments that Node Control/Reboot runs, like [systemctl, reboot]; empty: there is no such metric"`
}

// Spool is where reports are kept on disk until they have arrived.
type Spool struct {
	MaxBytes   Size     `yaml:"max_bytes" doc:"bound of the spool; default 4GiB"`
	MaxAge     Duration `yaml:"max_age" doc:"what has waited longer is dropped when its turn comes; default 7d"`
	FSync      Duration `yaml:"fsync" doc:"how often it is made durable: a power cut loses no more than that; default 1s"`
	WhenFull   string   `yaml:"when_full" enum:"drop_oldest"`
	ReplayRate int      `yaml:"replay_rate" doc:"samples a second to send from the spool; default 50000"`
}

// Connection is one connection to equipment. The options are its driver's.
type Connection struct {
	Driver  string         `yaml:"driver" doc:"name of the driver: modbus, process"`
	Options map[string]any `yaml:",inline"`
}

// Device is a Sparkplug device: a set of metrics that live and die together.
type Device struct {
	ID         string   `yaml:"id" doc:"Sparkplug device id, unique in the node"`
	Connection string   `yaml:"connection" doc:"name of the connection that reads it"`
	Unit       *int     `yaml:"unit" doc:"unit behind the connection; default the connection's"`
	Class      string   `yaml:"class" doc:"name of its scan class; default normal"`
	Use        []Use    `yaml:"use" doc:"templates"`
	Metrics    []Metric `yaml:"metrics"`
	CSV        string   `yaml:"csv" doc:"file with more metrics, a row each: the header names the keys"`
}

// Template is a list of metrics that several devices have, or several parts of
// one. In a file the list of its metrics may stand for it.
type Template struct {
	Version    string         `yaml:"version" doc:"of the Sparkplug definition"`
	Parameters map[string]any `yaml:"parameters" doc:"for {base} and the like, where the use of the template gives none"`
	Metrics    []Metric       `yaml:"metrics,short" doc:"its members"`
	Use        []Use          `yaml:"use" doc:"templates within it"`
}

// Use puts the metrics of a template into a device, below the folder As, or as
// one metric As of type Template.
type Use struct {
	Template string         `yaml:"template" doc:"name of the template"`
	As       string         `yaml:"as" doc:"folder of the metrics, or name of the instance; empty: no folder"`
	Instance bool           `yaml:"instance" doc:"publish one metric of type Template, and its definition in the birth of the node"`
	Params   map[string]any `yaml:",inline"` // for {base} and the like
}

// Metric is one metric. With an Addr it is read from the device's connection,
// without one it is held in memory and kept over restarts.
type Metric struct {
	Name        string      `yaml:"name" doc:"/ separates folders"`
	Addr        string      `yaml:"addr" doc:"in the syntax of the driver; empty: held in memory"`
	Type        string      `yaml:"type" doc:"Sparkplug datatype of the raw value"`
	As          string      `yaml:"as" doc:"Sparkplug datatype to publish; default Double if scaled, else type"`
	Order       string      `yaml:"order" doc:"word order: ABCD, CDAB, BADC, DCBA"`
	Scale       *float64    `yaml:"scale" doc:"published = raw x scale + offset; default 1"`
	Offset      *float64    `yaml:"offset" doc:"default 0"`
	Unit        string      `yaml:"unit" doc:"engineering unit"`
	Range       *[2]float64 `yaml:"range" doc:"span, lowest and highest value"`
	Deadband    Deadband    `yaml:"deadband" doc:"smallest change worth a report: 0.5, or 0.5% of range"`
	MinInterval Duration    `yaml:"min_interval" doc:"least time between two reports"`
	MaxInterval Duration    `yaml:"max_interval" doc:"report again after this time though nothing changed"`
	Write       *Write      `yaml:"write" doc:"allows commands; {} sets no bounds"`
	Value       any         `yaml:"value" doc:"first value of a metric that is held in memory"`

	Description string         `yaml:"description" doc:"for people; a property of the birth"`
	Properties  map[string]any `yaml:"properties" doc:"more properties of the birth, by name: texts, numbers, true, false"`
}

// Write allows commands to a metric and bounds them. Bounds are in the unit of
// the published value.
type Write struct {
	Min      *float64 `yaml:"min"`
	Max      *float64 `yaml:"max"`
	Readback Duration `yaml:"readback" doc:"how long the equipment may take to show the new value; default 0s"`
}

// Deadband is the smallest change worth a report: absolute, or in percent of
// the span.
type Deadband struct {
	Size    float64
	Percent bool
}

// UnmarshalText reads "0.5" or "0.5%".
func (d *Deadband) UnmarshalText(b []byte) error {
	text, percent := strings.CutSuffix(string(b), "%")
	size, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(size >= 0 && size <= 1e300) {
		return fmt.Errorf("%q is no deadband: write 0.5 or 0.5%%", b)
	}
	*d = Deadband{size, percent}
	return nil
}

// SchemaTypes says how a deadband may be written.
func (Deadband) SchemaTypes() []string { return []string{"number", "string"} }

// MarshalText prints d as UnmarshalText reads it.
func (d Deadband) MarshalText() ([]byte, error) {
	s := strconv.FormatFloat(d.Size, 'g', -1, 64)
	if d.Percent {
		s += "%"
	}
	return []byte(s), nil
}

// Load reads the configuration file of an edge node and reports all its faults
// at once, as lines of file:line:column. Without drivers (nil) the options of
// connections and the addresses of metrics are not checked.
func Load(file string, drivers Drivers) (*Config, error) {
	return config.Load(file, func(c *Config, check *config.Checker) {
		c.Node.DataDir = check.Resolve(orText(c.Node.DataDir, "data"))
		c.MQTT.CA, c.MQTT.Cert, c.MQTT.Key = check.Resolve(c.MQTT.CA), check.Resolve(c.MQTT.Cert), check.Resolve(c.MQTT.Key)
		for i := range c.Devices {
			c.Devices[i].CSV = check.Resolve(c.Devices[i].CSV)
		}
		compile(*c, drivers, check)
	})
}

// Schema is the JSON schema of the configuration file.
func Schema() []byte { return config.Schema[Config]() }

// Show prints c as YAML, secrets as "(redacted)" unless reveal says otherwise.
func Show(c *Config, reveal bool) ([]byte, error) { return config.Show(c, reveal) }

func orText(s, preset string) string {
	if s == "" {
		return preset
	}
	return s
}
