package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/hostapp"
	"github.com/magneto-iiot/magneto/hostapp/history/embedded"
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
		p, err := needPlant(*file)
		if err != nil {
			return err
		}
		if len(p.MQTT.Servers) > 0 {
			return a.runHost(cmd.Context(), p, remoteServers(p, a.log))
		}
		b, err := openBroker(p, a.log)
		if err != nil {
			return err
		}
		server := hostapp.Server{Name: "mqtt://" + b.Addr(), Dial: inproc(b, p.Host.ID)}
		return a.runHost(cmd.Context(), p, []hostapp.Server{server}, part{"broker", b.Run})
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
		p := defaultPlant()
		if *file != "" {
			var err error
			if p, err = loadPlant(*file); err != nil {
				return err
			}
		}
		p.Broker.Listen = cmp.Or(*addr, p.Broker.Listen)
		b, err := openBroker(p, a.log)
		if err != nil {
			return err
		}
		a.log.Info("ready", "mqtt", b.Addr())
		return runParts(cmd.Context(), part{"broker", b.Run})
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
		p, err := needPlant(*file)
		if err != nil {
			return err
		}
		if len(p.MQTT.Servers) == 0 {
			return errNoServers
		}
		return a.runHost(cmd.Context(), p, remoteServers(p, a.log))
	})
	return cmd
}

func needPlant(file string) (*plant, error) {
	if file == "" {
		return nil, usagef("-c FILE is missing: the plant configuration")
	}
	return loadPlant(file)
}

func openBroker(p *plant, log *slog.Logger) (*broker.Broker, error) {
	return broker.New(broker.Config{Listen: p.Broker.Listen, WebSocket: p.Broker.WebSocket, Log: log})
}

// remoteServers are the MQTT servers of the configuration, which is checked.
func remoteServers(p *plant, log *slog.Logger) []hostapp.Server {
	m := p.MQTT
	servers := make([]hostapp.Server, len(m.Servers))
	for i, s := range m.Servers {
		c := mqtt.Config{
			Server: s, ClientID: cmp.Or(m.ClientID, p.Host.ID),
			Username: m.Username, Password: m.Password.Reveal(), KeepAlive: m.Keepalive.Std(), Log: log,
		}
		servers[i] = hostapp.Server{Name: s, Dial: dialer(c)}
	}
	return servers
}

// runHost runs a host with its history and its HTTP face, after the parts that
// it leans on.
func (a *app) runHost(ctx context.Context, p *plant, servers []hostapp.Server, before ...part) error {
	h, err := openHost(p, servers, a.log)
	if err != nil {
		return err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", p.HTTP.Listen)
	if err != nil {
		return errors.Join(err, h.close())
	}
	a.log.Info("ready", "http", ln.Addr().String(), "host", p.Host.ID)
	err = runParts(ctx, append(before, part{"host", h.Run}, serveHTTP(ln, h.Handler()))...)
	return errors.Join(err, h.close())
}

// host is a host with the store under it.
type host struct {
	*hostapp.Host
	store *embedded.Store
}

func (h host) close() error { return h.store.Close() }

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
	h, err := hostapp.New(c)
	if err != nil {
		return host{}, errors.Join(err, store.Close())
	}
	return host{h, store}, nil
}
