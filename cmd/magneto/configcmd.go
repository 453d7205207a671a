package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/magneto-iiot/magneto/edgenode"
	"github.com/magneto-iiot/magneto/edgenode/driver/modbus"
	"github.com/magneto-iiot/magneto/edgenode/driver/process"
	"github.com/magneto-iiot/magneto/internal/config"
)

func (a *app) configCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Check, describe and show configurations; needs no network", RunE: a.begin(group)}
	cmd.AddCommand(a.configCheckCmd(), a.configSchemaCmd(), a.configShowCmd())
	return cmd
}

// allDrivers are the drivers of magneto-edge, to check options and addresses.
var allDrivers = edgenode.Drivers{"modbus": modbus.Open, "process": process.Open}

// kinds are the kinds of configuration, by name.
var kinds = map[string]struct {
	load   func(file string) (any, error)
	schema func() []byte
}{
	"plant": {func(f string) (any, error) { return loadPlant(f) }, config.Schema[plant]},
	"edge":  {func(f string) (any, error) { return edgenode.Load(f, allDrivers) }, edgenode.Schema},
}

const kindHelp = "plant or edge (default: edge when the file has a node, else plant)"

func (a *app) configCheckCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check FILE", Short: "Say every fault of a configuration, as file:line:column; exit code 3 when there is one",
		Args: cobra.ExactArgs(1),
	}
	kind := cmd.Flags().String("kind", "", kindHelp)
	cmd.RunE = a.begin(func(_ *cobra.Command, args []string) error {
		if _, err := loadKind(*kind, args[0]); err != nil {
			return err
		}
		a.say("%s: ok", args[0])
		return nil
	})
	return cmd
}

func (a *app) configSchemaCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "schema plant|edge", Short: "Print the JSON schema of a kind of configuration, for editors", Args: cobra.ExactArgs(1),
	}
	cmd.RunE = a.begin(func(_ *cobra.Command, args []string) error {
		k, ok := kinds[args[0]]
		if !ok {
			return usagef("%q is no kind of configuration: want plant or edge", args[0])
		}
		_, err := a.out.Write(k.schema())
		return err
	})
	return cmd
}

func (a *app) configShowCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show FILE", Short: "Print a configuration, checked and complete with its defaults", Args: cobra.ExactArgs(1),
	}
	kind := cmd.Flags().String("kind", "", kindHelp)
	resolved := cmd.Flags().Bool("resolved", true, "with variables and defaults filled in; --resolved=false prints the file")
	redact := cmd.Flags().Bool("redact", true, "hide secrets")
	cmd.RunE = a.begin(func(_ *cobra.Command, args []string) error {
		c, err := loadKind(*kind, args[0])
		if err != nil {
			return err
		}
		var b []byte
		switch c := c.(type) {
		case *edgenode.Config:
			b, err = edgenode.Show(c, !*redact)
		default:
			b, err = config.Show(c, !*redact)
		}
		if !*resolved {
			b, err = os.ReadFile(args[0])
		}
		if err != nil {
			return err
		}
		_, err = a.out.Write(b)
		return err
	})
	return cmd
}

// loadKind reads and checks a configuration.
func loadKind(kind, file string) (any, error) {
	if kind == "" {
		src, err := os.ReadFile(file)
		if err != nil {
			return nil, configFault(file, "%v", err)
		}
		kind = guessKind(string(src))
	}
	k, ok := kinds[kind]
	if !ok {
		return nil, usagef("--kind %s: want plant or edge", kind)
	}
	return k.load(file)
}

func guessKind(src string) string {
	for line := range strings.Lines(src) {
		if strings.HasPrefix(line, "node:") || strings.HasPrefix(line, "devices:") {
			return "edge"
		}
	}
	return "plant"
}
