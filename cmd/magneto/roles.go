package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/hostapp"
	"github.com/magneto-iiot/magneto/hostapp/history/embedded"
	"github.com/magneto-iiot/magneto/hostapp/history/influx"
	"github.com/magneto-iiot/magneto/internal/mqtt"
)

// fileFlag adds the flag that names the configuration.
func fileFlag(cmd *cobra.Command) *string {
	return cmd.Flags().StringP("config", "c", "", "plant configuration (YAML)")
}

func (a *app) allCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "all -c FILE",
		Short: "Run every role of the plant side in one process, for production",
		Args:  cobra.NoArgs,
	}
	file := fileFlag(cmd)
	cmd.RunE = a.begin(func(cmd *cobra.Command, _ []string) error {
		src, err := openSource(func() (*plant, error) { return needPlant(*file) }, a.log)
		if err != nil {
			return err
		}
		defer src.close()
		p := src.running
		if len(p.MQTT.Servers) > 0 {
			return a.runRemoteHost(cmd.Context(), src)
		}
		b, err := openBroker(p, true, a.log)
		if err != nil {
			return err
		}
		a.sayListening(b)
		server := hostapp.Server{Name: "mqtt://" + b.Addr(), Dial: inproc(b, p.Host.ID)}
		return a.runHost(cmd.Context(), src, []hostapp.Server{server}, part{"broker", b.Run})
	})
	return cmd
}

func (a *app) brokerCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "broker [-c FILE] [--mqtt ADDR]",
		Short: "Run the MQTT server alone",
		Args:  cobra.NoArgs,
	}
	file := fileFlag(cmd)
	addr := cmd.Flags().String("mqtt", "", "address to listen on instead of the configured one (default 127.0.0.1:1883)")
	cmd.RunE = a.begin(func(cmd *cobra.Command, _ []string) error {
		var load func() (*plant, error)
		if *file != "" {
			load = func() (*plant, error) { return loadPlant(*file) }
		}
		src, err := openSource(load, a.log)
		if err != nil {
			return err
		}
		defer src.close()
		p := *src.running
		p.Broker.Listen = cmp.Or(*addr, p.Broker.Listen)
		b, err := openBroker(&p, *file != "", a.log)
		if err != nil {
			return err
		}
		a.sayListening(b)
		return runParts(cmd.Context(), part{"broker", b.Run}, src.part())
	})
	return cmd
}

func (a *app) hostCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "host -c FILE",
		Short: "Run the primary host alone, on the MQTT servers of its configuration",
		Args:  cobra.NoArgs,
	}
	file := fileFlag(cmd)
	cmd.RunE = a.begin(func(cmd *cobra.Command, _ []string) error {
		src, err := openSource(func() (*plant, error) { return hostPlant(*file) }, a.log)
		if err != nil {
			return err
		}
		defer src.close()
		return a.runRemoteHost(cmd.Context(), src)
	})
	return cmd
}

// hostPlant is the configuration of a host alone.
func hostPlant(file string) (*plant, error) {
	p, err := needPlant(file)
	if err == nil && len(p.MQTT.Servers) == 0 {
		return nil, errNoServers
	}
	return p, err
}

func needPlant(file string) (*plant, error) {
	if file == "" {
		return nil, usagef("-c FILE is missing: the plant configuration")
	}
	return loadPlant(file)
}

func openBroker(p *plant, keep bool, log *slog.Logger) (*broker.Broker, error) {
	c := broker.Config{Listen: p.Broker.Listen, WebSocket: p.Broker.WebSocket, Log: log}
	if keep {
		c.Keep = filepath.Join(p.DataDir, "broker", "retained")
	}
	return broker.New(c)
}

// sayListening logs where a broker is.
func (a *app) sayListening(b *broker.Broker) {
	at := []any{"mqtt", b.Addr()}
	if web := b.WebSocketAddr(); web != "" {
		at = append(at, "websocket", web)
	}
	a.log.Info("broker listens", at...)
}

// remoteServers are the MQTT servers of the configuration, which is checked.
func remoteServers(p *plant, log *slog.Logger) ([]hostapp.Server, error) {
	m := p.MQTT
	tls, err := mqtt.LoadTLS(m.CA, m.Cert, m.Key)
	if err != nil {
		return nil, &exitError{exitConfig, fmt.Errorf("mqtt: %w", err)}
	}
	servers := make([]hostapp.Server, len(m.Servers))
	for i, s := range m.Servers {
		c := mqtt.Config{
			Server: s, ClientID: cmp.Or(m.ClientID, p.Host.ID),
			Username: m.Username, Password: m.Password.Reveal(), KeepAlive: m.Keepalive.Std(), Log: log,
			TLS: tls,
		}
		servers[i] = hostapp.Server{Name: s, Dial: dialer(c)}
	}
	return servers, nil
}

// runRemoteHost runs a host on the MQTT servers of its configuration.
func (a *app) runRemoteHost(ctx context.Context, src *source) error {
	servers, err := remoteServers(src.running, a.log)
	if err != nil {
		return err
	}
	return a.runHost(ctx, src, servers)
}

// runHost runs a host with its history and its HTTP face, after the parts that
// it leans on.
func (a *app) runHost(ctx context.Context, src *source, servers []hostapp.Server, parts ...part) error {
	p := src.running
	h, err := openHost(p, servers, a.log)
	if err != nil {
		return err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", p.HTTP.Listen)
	if err != nil {
		return errors.Join(err, h.close())
	}
	names := make([]string, len(servers))
	for i, s := range servers {
		names[i] = s.Name
	}
	// Ready is what /readyz says: later, when it is on every server.
	a.log.Info("started", "host", p.Host.ID, "http", ln.Addr().String(), "servers", names)
	parts = append(parts, part{"host", h.Run}, serveHTTP(ln, h.Handler()), part{"ready", a.sayReady(h.Host)}, src.part())
	return errors.Join(runParts(ctx, parts...), h.close())
}

// readyEvery is how often a host is asked whether it is on every server.
const readyEvery = 200 * time.Millisecond

// sayReady logs once that the host came on every server.
func (a *app) sayReady(h *hostapp.Host) func(context.Context) error {
	return func(ctx context.Context) error {
		tick := time.NewTicker(readyEvery)
		defer tick.Stop()
		for !h.Online() {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
		a.log.Info("ready")
		<-ctx.Done()
		return nil
	}
}

// host is a host with the stores under it.
type host struct {
	*hostapp.Host
	stores []io.Closer
}

func (h host) close() (err error) {
	for _, s := range h.stores {
		err = errors.Join(err, s.Close())
	}
	return err
}

func openHost(p *plant, servers []hostapp.Server, log *slog.Logger) (host, error) {
	if err := os.MkdirAll(p.DataDir, 0o750); err != nil {
		return host{}, fmt.Errorf("data_dir: %w", err)
	}
	e := p.History.Embedded
	store, err := embedded.Open(embedded.Config{
		Dir: p.dir("history"), Retention: e.Retention.Std(), OutOfOrder: e.OutOfOrder.Std(),
		FutureTolerance: e.FutureTolerance.Std(), Log: log,
	})
	if err != nil {
		return host{}, err
	}
	c := p.Host.Config()
	c.Servers, c.History, c.Prometheus, c.Log = servers, store, store.PrometheusHandler(), log
	c.Journal, c.JournalBytes = filepath.Join(p.dir("host"), "journal"), int64(p.History.Journal.MaxBytes)
	c.JournalKeep = int64(p.History.Journal.Keep)
	c.Births = filepath.Join(p.dir("host"), "births")
	h := host{stores: []io.Closer{store}}
	if p.History.Influx.URL != "" {
		sink, err := openInflux(p, log)
		if err != nil {
			return host{}, errors.Join(err, h.close())
		}
		h.stores = append(h.stores, sink)
		c.Sinks = append(c.Sinks, hostapp.Sink{Name: "influx", Store: sink})
	}
	if h.Host, err = hostapp.New(c); err != nil {
		return host{}, errors.Join(err, h.close())
	}
	return h, nil
}

func openInflux(p *plant, log *slog.Logger) (*influx.Store, error) {
	i := p.History.Influx
	tls, err := mqtt.LoadTLS(i.CA, "", "")
	if err != nil {
		return nil, &exitError{exitConfig, fmt.Errorf("history.influx: %w", err)}
	}
	return influx.Open(influx.Config{
		URL: i.URL, Org: i.Org, Bucket: i.Bucket, Token: i.Token.Reveal(), TLS: tls, Gzip: i.Gzip,
		DeadLetters: filepath.Join(p.dir("host"), "deadletters", "influx.jsonl"), Log: log,
	})
}
