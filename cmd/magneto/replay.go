package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/magneto-iiot/magneto/internal/mqtt"
)

func (a *app) replayCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Publish the messages of a recording again",
		Long: `Publish the messages of FILE (of 'magneto record'; - is stdin) in their order
and at their distances in time, as they were: topics, retain flags and the
timestamps in the payloads are those of the recording, so a host that follows
the same server sees its nodes again.`,
		Example: "  magneto replay plant.jsonl --speed 10",
		Args:    cobra.ExactArgs(1),
	}
	server := cmd.Flags().String("mqtt", "mqtt://127.0.0.1:1883", "MQTT server")
	speed := cmd.Flags().Float64("speed", 1, "times as fast as it was recorded; 0: as fast as can be")
	cmd.RunE = a.begin(func(cmd *cobra.Command, args []string) error {
		if _, err := parseServer(*server); err != nil {
			return usagef("--mqtt: %v", err)
		}
		if !(*speed >= 0) {
			return usagef("--speed %v: want 0 or more", *speed)
		}
		return a.replay(cmd.Context(), args[0], *server, *speed)
	})
	return cmd
}

func (a *app) replay(ctx context.Context, file, server string, speed float64) error {
	in, err := a.open(file)
	if err != nil {
		return err
	}
	defer in.Close() // only read
	conn, err := mqtt.Dial(ctx, mqtt.Config{Server: server, Log: a.log})
	if err != nil {
		return unreachable(err)
	}
	var first captured
	begun, sent := time.Now(), 0
	err = readCapture(file, in, func(c captured) error {
		if sent == 0 {
			first = c
		}
		if speed > 0 {
			after := time.Duration(float64(c.At.Sub(first.At.Time)) / speed)
			if err := wait(ctx, begun.Add(after)); err != nil {
				return err
			}
		}
		if err := conn.Publish(ctx, c.message()); err != nil {
			return fmt.Errorf("%s: %s: %w", server, c.Topic, err)
		}
		sent++
		return nil
	})
	a.say("%d messages published", sent)
	if bye := conn.Disconnect(context.WithoutCancel(ctx)); err == nil {
		err = bye
	}
	return endedAs(ctx, err)
}
