package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/magneto-iiot/magneto/internal/exam"
)

func (a *app) conformBrokerCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "broker",
		Short: "Examine an MQTT server",
		Long: `Connect to an MQTT server, with MQTT 3.1.1 and with MQTT 5, and grade whether it is
a Sparkplug compliant MQTT server (QoS 0 and 1, wills, retained messages) and a
Sparkplug aware one (births kept under $sparkplug/certificates).

Everything is published below a group of its own, exam-..., and what was retained
is removed again, but for the births that an aware server keeps. A plain server
is not aware, and fails that half: --aware=false leaves it out.

Exit code 4 when a MUST is broken, 5 when the server can't be reached.`,
		Example: "  magneto conform broker --mqtt mqtt://127.0.0.1:1883\n  magneto conform broker --mqtt mqtt://10.0.0.5 --aware=false --junit report.xml",
		Args:    cobra.NoArgs,
	}
	var grading gradeFlags
	grading.add(cmd)
	server := cmd.Flags().String("mqtt", "mqtt://127.0.0.1:1883", "MQTT server")
	user := cmd.Flags().String("username", "", "user name")
	secret := cmd.Flags().String("password-file", "", "file that holds the password")
	aware := cmd.Flags().Bool("aware", true, "examine for awareness too")
	cmd.RunE = a.begin(func(cmd *cobra.Command, _ []string) error {
		if _, err := parseServer(*server); err != nil {
			return usagef("--mqtt: %v", err)
		}
		if !strings.HasPrefix(*server, "mqtt://") {
			return usagef("--mqtt %s: TLS is not examined: want mqtt://", *server)
		}
		c := exam.BrokerConfig{Server: *server, Username: *user, Compliant: !*aware, Say: a.say}
		if *secret != "" {
			b, err := os.ReadFile(*secret)
			if err != nil {
				return fmt.Errorf("--password-file: %w", err)
			}
			c.Password = strings.TrimRight(string(b), "\r\n")
		}
		r, err := exam.Broker(cmd.Context(), c)
		return a.examined(r, err, grading)
	})
	return cmd
}
