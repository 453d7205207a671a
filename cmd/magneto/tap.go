package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/conform"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

func (a *app) tapCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tap [FILTER...]",
		Short: "Follow the Sparkplug namespace, decoded, with names for aliases",
		Long: `Follow the Sparkplug namespace: births, data and deaths, in order, with the
names that the births gave to aliases. It publishes nothing. For a node whose
birth it has not seen it asks the host at --url to ask for one; without a host
it waits for the next birth.

A FILTER is an MQTT topic filter and chooses what is printed.`,
		Example: "  magneto tap 'spBv1.0/Demo/DDATA/#'\n  magneto tap --json | jq .metrics",
	}
	server := cmd.Flags().String("mqtt", "mqtt://127.0.0.1:1883", "MQTT server")
	base := urlFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object a line")
	cmd.RunE = a.begin(func(cmd *cobra.Command, filters []string) error {
		for _, f := range filters {
			if !watch.ValidFilter(f) {
				return usagef("%q is not an MQTT topic filter: + fills a level, # the last one", f)
			}
		}
		if _, err := parseServer(*server); err != nil {
			return usagef("--mqtt: %v", err)
		}
		host, err := hostAt(*base)
		if err != nil {
			return err
		}
		print := a.printUpdate
		if *asJSON {
			print = a.printUpdateJSON
		}
		return a.tap(cmd.Context(), *server, host, filters, print)
	})
	return cmd
}

// tap follows the namespace on one server and prints what passes the filters.
func (a *app) tap(ctx context.Context, server string, host *hostClient, filters []string, print func(*watch.Update) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	asked := make(chan target, 64) // full: the watcher asks again later
	w, err := watch.New(watch.Config{
		Passive: true, Log: a.log,
		Handler: func(u *watch.Update) {
			if ctx.Err() != nil && u.Kind == watch.Lost || inferred(u) || !passes(u, filters) {
				return
			}
			if err := print(u); err != nil {
				cancel(err) // nobody reads what we print
			}
		},
		AskRebirth: func(group, node, _ string) {
			select {
			case asked <- target{group: group, node: node}:
			default:
			}
		},
	})
	if err != nil {
		return err
	}
	err = runParts(
		ctx,
		part{"watch", w.Run},
		part{"rebirth", func(ctx context.Context) error { return a.askHost(ctx, host, asked) }},
		part{"mqtt", func(ctx context.Context) error {
			return w.Follow(ctx, server, dialer(mqtt.Config{Server: server, Log: a.log}))
		}},
	)
	if cause := context.Cause(ctx); err == nil && !errors.As(cause, new(stopped)) && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	return err
}

// dialer makes the connection of a watcher or host to a server.
func dialer(c mqtt.Config) watch.Dial {
	return func(ctx context.Context, will *mqtt.Message, onMessage func(mqtt.Message)) (watch.Conn, error) {
		c := c
		c.Will, c.OnMessage = will, onMessage
		conn, err := mqtt.Dial(ctx, c)
		if err != nil {
			return nil, err // not conn: a nil *Conn is no nil watch.Conn
		}
		return conn, nil
	}
}

// askHost has the host ask nodes for the births that the tap lacks.
func (a *app) askHost(ctx context.Context, host *hostClient, asked <-chan target) error {
	told := map[target]bool{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case t := <-asked:
			err := host.do(ctx, http.MethodPost, t.path()+"/rebirth", nil, nil)
			if told[t] {
				continue
			}
			told[t] = true
			if err != nil {
				a.say("no birth of %s seen yet, and no host to ask for one: waiting for it", t)
			} else {
				a.say("no birth of %s seen yet: the host asks for one", t)
			}
		}
	}
}

// inferred says that an update tells of no message and no news: the devices of
// a node that is born anew are offline until their own births, and those of a
// node that was lost are lost with it.
func inferred(u *watch.Update) bool {
	return u.Kind == watch.Death && u.Cause == session.CauseBorn || u.Kind == watch.Lost && u.Device != ""
}

// messageType is the type of the message behind an update, or what else it
// reports: LOST, REBIRTH.
func messageType(u *watch.Update) string {
	var kind string
	switch u.Kind {
	case watch.Birth:
		kind = "BIRTH"
	case watch.Data:
		kind = "DATA"
	case watch.Death:
		kind = "DEATH"
	default:
		return strings.ToUpper(u.Kind.String())
	}
	if u.Device == "" {
		return "N" + kind
	}
	return "D" + kind
}

func passes(u *watch.Update, filters []string) bool {
	topic := "spBv1.0/" + u.Group + "/" + messageType(u) + "/" + u.Node
	if u.Device != "" {
		topic += "/" + u.Device
	}
	for _, f := range filters {
		if conform.Matches(f, topic) {
			return true
		}
	}
	return len(filters) == 0
}

// nameOf is the name of a sample's metric.
func nameOf(u *watch.Update, s watch.Sample) string { return u.Shape.Def(uint32(s.Index)).Name }

func (a *app) printUpdate(u *watch.Update) error {
	where := target{u.Group, u.Node, u.Device}.String()
	at := time.UnixMilli(u.Received).Format("15:04:05.000")
	var b strings.Builder
	fmt.Fprintf(&b, "%s %-6s %s", at, messageType(u), where)
	switch u.Kind {
	case watch.Birth:
		fmt.Fprintf(&b, " born with %d metrics:", u.Shape.Len())
	case watch.Death, watch.Lost, watch.Rebirth:
		fmt.Fprintf(&b, " %s", u.Reason())
	}
	for _, s := range u.Samples {
		fmt.Fprintf(&b, " %s=%s", nameOf(u, s), s.Value)
		if s.Quality != sparkplug.QualityGood {
			fmt.Fprintf(&b, "(quality %d)", s.Quality)
		}
		if s.Historical {
			b.WriteString("(historical)")
		}
	}
	b.WriteByte('\n')
	_, err := a.out.Write([]byte(b.String()))
	return err
}

// jsonUpdate is one line of tap --json.
type jsonUpdate struct {
	Type     string       `json:"type"`
	Group    string       `json:"group"`
	Node     string       `json:"node"`
	Device   string       `json:"device,omitempty"`
	Received jsonTime     `json:"received"`
	Sent     jsonTime     `json:"timestamp"`
	BdSeq    *uint64      `json:"bdseq,omitempty"`
	Reason   string       `json:"reason,omitempty"`
	Metrics  []jsonSample `json:"metrics,omitempty"`
}

type jsonSample struct {
	Name       string          `json:"name"`
	Datatype   string          `json:"datatype"`
	Value      json.RawMessage `json:"value"`
	Time       jsonTime        `json:"timestamp"`
	Quality    uint16          `json:"quality"`
	Historical bool            `json:"is_historical,omitempty"`
}

func (a *app) printUpdateJSON(u *watch.Update) error {
	j := jsonUpdate{
		Type: messageType(u), Group: u.Group, Node: u.Node, Device: u.Device,
		Received: jsonTime(u.Received), Sent: jsonTime(u.Sent),
	}
	switch u.Kind {
	case watch.Birth:
		j.BdSeq = new(u.BdSeq)
	case watch.Death, watch.Lost, watch.Rebirth:
		j.Reason = u.Reason()
	}
	for _, s := range u.Samples {
		j.Metrics = append(j.Metrics, jsonSample{
			nameOf(u, s), s.Value.Type().String(), sparkplug.AppendJSON(nil, s.Value),
			jsonTime(s.Time), s.Quality, s.Historical,
		})
	}
	return json.NewEncoder(a.out).Encode(j)
}
