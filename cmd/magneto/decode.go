package main

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// maxInput is the longest input of decode and encode, in bytes.
const maxInput = 64 << 20

func (a *app) decodeCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "decode [FILE]",
		Short: "Decode a Sparkplug B payload to JSON",
		Long: `Decode a Sparkplug B payload, or the JSON payload of a STATE message, from a
file or from stdin. Metrics that came by alias keep their alias: the names are in
the birth (see 'magneto tap', which keeps them). Of a compressed payload, what is
inside is shown.`,
		Args: cobra.MaximumNArgs(1),
	}
	form := cmd.Flags().String("form", "raw", "how the payload is written: raw, hex or base64")
	cmd.RunE = a.begin(func(_ *cobra.Command, args []string) error {
		raw, err := a.input(args)
		if err != nil {
			return err
		}
		b, err := fromText(*form, raw)
		if err != nil {
			return err
		}
		var p sparkplug.Payload
		if err := p.Decode(b); err != nil {
			if state, stateErr := sparkplug.ParseState(b); stateErr == nil {
				return a.printJSON(map[string]any{"online": state.Online, "timestamp": jsonTime(state.Timestamp)})
			}
			return err
		}
		how, err := p.Inflate(sparkplug.Limits{}, sparkplug.MaxInflated)
		if err != nil {
			return err
		}
		j := toJSON(&p)
		if how != sparkplug.Uncompressed {
			j.Compressed = how.String()
		}
		return a.printJSON(j)
	})
	return cmd
}

func (a *app) encodeCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "encode [FILE]",
		Short: "Encode JSON, as decode prints it, to a Sparkplug B payload",
		Args:  cobra.MaximumNArgs(1),
	}
	form := cmd.Flags().String("form", "raw", "how to write the payload: raw, hex or base64")
	compress := cmd.Flags().String("compress", "", "compress the payload: deflate or gzip (default: as the JSON says)")
	cmd.RunE = a.begin(func(_ *cobra.Command, args []string) error {
		if _, ok := compressions[*compress]; !ok {
			return usagef("--compress %s: want deflate or gzip", *compress)
		}
		raw, err := a.input(args)
		if err != nil {
			return err
		}
		var j jsonPayload
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(&j); err != nil {
			return fmt.Errorf("encode: %w", err)
		}
		p, err := fromJSON(j)
		if err != nil {
			return fmt.Errorf("encode: %w", err)
		}
		b, err := p.Append(nil)
		if err != nil {
			return err
		}
		if how := compressions[cmp.Or(*compress, j.Compressed)]; how != sparkplug.Uncompressed {
			if b, err = sparkplug.AppendCompressed(nil, b, how); err != nil {
				return err
			}
		}
		return a.writeForm(*form, b)
	})
	return cmd
}

// compressions are the names on the command line and in JSON.
var compressions = map[string]sparkplug.Compression{
	"": sparkplug.Uncompressed, "deflate": sparkplug.Deflate, "gzip": sparkplug.Gzip, "DEFLATE": sparkplug.Deflate, "GZIP": sparkplug.Gzip,
}

// input reads the file named on the command line, or stdin.
func (a *app) input(args []string) ([]byte, error) {
	name := "-"
	if len(args) > 0 {
		name = args[0]
	}
	in, err := a.open(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err == nil && len(b) > maxInput {
		err = fmt.Errorf("the input is longer than %d bytes", maxInput)
	}
	return b, err
}

// open opens a file to read it; - is stdin.
func (a *app) open(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(a.in), nil
	}
	return os.Open(name)
}

func fromText(form string, b []byte) ([]byte, error) {
	switch form {
	case "raw":
		return b, nil
	case "hex":
		return hex.DecodeString(string(bytes.Join(bytes.Fields(b), nil)))
	case "base64":
		return base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(b), nil)))
	}
	return nil, usagef("--form %s: want raw, hex or base64", form)
}

func (a *app) writeForm(form string, b []byte) error {
	var err error
	switch form {
	case "raw":
		_, err = a.out.Write(b)
	case "hex":
		_, err = fmt.Fprintln(a.out, hex.EncodeToString(b))
	case "base64":
		_, err = fmt.Fprintln(a.out, base64.StdEncoding.EncodeToString(b))
	default:
		err = usagef("--form %s: want raw, hex or base64", form)
	}
	return err
}

func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
