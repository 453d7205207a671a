package main

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/magneto-iiot/magneto/hostapp"
	"github.com/magneto-iiot/magneto/hostapp/history/influx"
	"github.com/magneto-iiot/magneto/internal/config"
	"github.com/magneto-iiot/magneto/internal/mqtt"
)

// plant is the configuration of the plant side: broker, host, history.
type plant struct {
	Version  int                 `yaml:"version" doc:"of this format: 1"`
	DataDir  string              `yaml:"data_dir" doc:"where everything is kept; relative to this file"`
	MQTT     plantMQTT           `yaml:"mqtt" doc:"servers the host is on; leave out under 'magneto all' to use the broker in the process"`
	Broker   plantBroker         `yaml:"broker" doc:"the MQTT server in the process"`
	Host     hostapp.Section     `yaml:"host" doc:"the Sparkplug host application"`
	HTTP     hostapp.HTTPSection `yaml:"http" doc:"REST, Prometheus API, status page"`
	History  plantHistory        `yaml:"history" doc:"where samples are kept"`
	Services plantServices       `yaml:"services" doc:"the asset services; none of them is in this version"`
	Auth     map[string]any      `yaml:"auth" doc:"must be empty in this version: only loopback listeners start, and the caller is admin"`
}

type plantMQTT struct {
	Servers      []string        `yaml:"servers" doc:"mqtt://host[:1883] or mqtts://host[:8883]; the host is on all of them at once"`
	ClientID     string          `yaml:"client_id" doc:"default: the host's id"`
	Username     string          `yaml:"username"`
	Password     config.Secret   `yaml:"password"`
	PasswordFile string          `yaml:"password_file"`
	CA           string          `yaml:"ca" doc:"PEM file of the authorities that may sign a server's certificate"`
	Cert         string          `yaml:"cert" doc:"PEM file of our certificate"`
	Key          string          `yaml:"key" doc:"PEM file of its key"`
	Keepalive    config.Duration `yaml:"keepalive"`
	Insecure     bool            `yaml:"insecure" doc:"allow mqtt:// to other machines"`
}

type plantBroker struct {
	Listen    string `yaml:"listen" doc:"host:port for MQTT over TCP"`
	WebSocket string `yaml:"websocket" doc:"host:port for MQTT over WebSocket; empty: none"`
}

type plantHistory struct {
	Embedded hostapp.EmbeddedSection `yaml:"embedded" doc:"the store in the process"`
	Journal  hostapp.JournalSection  `yaml:"journal" doc:"what is kept on disk until it is stored for good"`
	Influx   plantInflux             `yaml:"influx" doc:"a database beside it that gets the same: InfluxDB 1.8, 2, 3 or VictoriaMetrics"`
}

type plantInflux struct {
	URL       string        `yaml:"url" doc:"http://host:8086 or https://host; empty: none"`
	Org       string        `yaml:"org" doc:"of InfluxDB 2"`
	Bucket    string        `yaml:"bucket" doc:"of InfluxDB 1.8: database/retention-policy"`
	Token     config.Secret `yaml:"token" doc:"of InfluxDB 1.8: user:password"`
	TokenFile string        `yaml:"token_file" doc:"file that holds the token"`
	CA        string        `yaml:"ca" doc:"PEM file of the authorities that may sign the server's certificate"`
	Gzip      bool          `yaml:"gzip" doc:"compress what is sent"`
	Insecure  bool          `yaml:"insecure" doc:"allow http:// to other machines"`
}

type plantServices struct {
	Site     string            `yaml:"site" doc:"part of every event topic"`
	Database string            `yaml:"database" doc:"sqlite: or postgres://..."`
	URLs     map[string]string `yaml:"urls" doc:"where services are that run elsewhere"`
}

func (p *plant) Defaults() { p.DataDir = "./data" }

func (b *plantBroker) Defaults() { b.Listen = "127.0.0.1:1883" }

func (m *plantMQTT) Defaults() { m.Keepalive = config.Duration(30 * time.Second) }

// loadPlant reads a plant configuration; its error is config.Faults.
func loadPlant(file string) (*plant, error) { return config.Load(file, checkPlant) }

// defaultPlant is the configuration of an empty file.
func defaultPlant() *plant {
	p := &plant{Version: 1}
	for _, d := range []interface{ Defaults() }{p, &p.Host, &p.HTTP, &p.Broker, &p.MQTT, &p.History.Embedded, &p.History.Journal} {
		d.Defaults()
	}
	return p
}

func checkPlant(p *plant, c *config.Checker) {
	if p.Version != 1 {
		c.Faultf("version", "want version: 1")
	}
	p.DataDir = c.Resolve(p.DataDir)
	for _, file := range []*string{&p.MQTT.CA, &p.MQTT.Cert, &p.MQTT.Key} {
		*file = c.Resolve(*file)
	}
	checkServers(p, c)
	p.Host.Check("host", c)
	p.HTTP.Check("http", c)
	(&hostapp.HistorySection{Embedded: p.History.Embedded}).Check("history", c)
	p.History.Journal.Check("history.journal", c)
	checkListen(c, "http.listen", p.HTTP.Listen) // what its own check lets pass
	checkListen(c, "broker.listen", p.Broker.Listen)
	checkListen(c, "broker.websocket", p.Broker.WebSocket)
	checkServices(&p.Services, c)
	checkInflux(&p.History.Influx, c)
	if len(p.Auth) > 0 {
		c.Faultf("auth", "users and tokens are not in this version: leave it empty")
	}
	checkTLS(&p.MQTT, c)
}

func checkServers(p *plant, c *config.Checker) {
	for i, s := range p.MQTT.Servers {
		path := config.Index("mqtt.servers", i)
		switch u, err := parseServer(s); {
		case err != nil:
			c.Faultf(path, "%v", err)
		case u.Scheme == "mqtt" && !p.MQTT.Insecure && !loopback(u.Hostname()):
			c.Faultf(path, "%s is another machine: use mqtts://, or say insecure: true", u.Host)
		}
	}
}

func checkTLS(m *plantMQTT, c *config.Checker) {
	if (m.Cert == "") != (m.Key == "") {
		c.Faultf("mqtt", "cert and key belong together: set both or none")
		return
	}
	if _, err := mqtt.LoadTLS(m.CA, m.Cert, m.Key); err != nil {
		path := "mqtt.cert"
		if strings.HasPrefix(err.Error(), "mqtt: ca:") {
			path = "mqtt.ca"
		}
		c.Faultf(path, "%s", strings.TrimPrefix(err.Error(), "mqtt: "))
	}
}

func checkInflux(i *plantInflux, c *config.Checker) {
	i.CA = c.Resolve(i.CA)
	if i.URL == "" {
		return
	}
	switch err := influx.CheckURL(i.URL); {
	case err != nil:
		c.Faultf("history.influx.url", "%s", strings.TrimPrefix(err.Error(), "influx: "))
	case !i.Insecure && plainElsewhere(i.URL):
		c.Faultf("history.influx.url", "%s is another machine: use https://, or say insecure: true", i.URL)
	}
	if i.Bucket == "" {
		c.Faultf("history.influx.bucket", "name the bucket, or of InfluxDB 1.8 database/retention-policy")
	}
	if _, err := mqtt.LoadTLS(i.CA, "", ""); err != nil {
		c.Faultf("history.influx.ca", "%s", strings.TrimPrefix(err.Error(), "mqtt: ca: "))
	}
}

// plainElsewhere says whether an address is http:// on another machine.
func plainElsewhere(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "http" && !loopback(u.Hostname())
}

func checkServices(s *plantServices, c *config.Checker) {
	if d := s.Database; d != "" && !strings.HasPrefix(d, "sqlite:") && !strings.HasPrefix(d, "postgres://") {
		c.Faultf("services.database", "neither sqlite: nor postgres://..., and the services are not in this version: leave it out")
	}
	if len(s.URLs) > 0 {
		c.Faultf("services.urls", "the services are not in this version: leave it empty")
	}
}

func checkListen(c *config.Checker, path, addr string) {
	if addr == "" {
		return
	}
	if err := onLoopback(addr); err != nil {
		c.Faultf(path, "%v", err)
	}
}

// dir is a folder under data_dir.
func (p *plant) dir(name string) string { return filepath.Join(p.DataDir, name) }

// errNoServers is what a host alone needs and a host beside a broker does not.
var errNoServers = &exitError{exitConfig, errors.New("mqtt.servers is empty: name the broker, or run 'magneto all', which has one")}

// configFault reports a fault of a whole file.
func configFault(file, format string, args ...any) error {
	return config.Faults{{File: file, Message: fmt.Sprintf(format, args...)}}
}
