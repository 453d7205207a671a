package edgenode_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/magneto-iiot/magneto/edgenode"
	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/internal/config"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// picky is a driver that knows the option url and the addresses ok and input,
// which takes no writes.
type picky struct{ driver.Driver }

func openPicky(c driver.Config) (driver.Driver, error) {
	r := c.Reader()
	r.String("url", "")
	return picky{}, r.Done()
}

func (picky) Endpoint() string { return "picky" }

func (picky) Compile(tags []driver.Tag) (blocks []driver.Block, bad []driver.TagError) {
	for _, t := range tags {
		if t.Type == sparkplug.TypeUnknown {
			bad = append(bad, driver.TagError{ID: t.ID, Addr: t.Addr, Field: "type", Reason: "Unknown cannot be held"})
		} else if t.Addr != "ok" && t.Addr != "input" {
			bad = append(bad, driver.TagError{ID: t.ID, Addr: t.Addr, Field: "addr", Reason: "want ok"})
		}
	}
	return nil, bad
}

func (picky) CheckWrite(t driver.Tag) *driver.TagError {
	if t.Addr == "input" {
		return &driver.TagError{ID: t.ID, Addr: t.Addr, Field: "addr", Reason: "takes no writes"}
	}
	return nil
}

func load(t *testing.T, files map[string]string) (*edgenode.Config, error) {
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := edgenode.Load(filepath.Join(dir, "edge.yaml"), edgenode.Drivers{"picky": openPicky})
	if err != nil {
		if _, ok := errors.AsType[config.Faults](err); !ok {
			t.Errorf("err is a %T", err)
		}
		err = errors.New(strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), ""))
	}
	return cfg, err
}

const head = "version: 1\nnode: {group: G, id: E}\nmqtt: {servers: [\"mqtt://localhost\"]}\n"

func TestLoadFaults(t *testing.T) {
	device := func(metric string) string {
		return head + "connections: {p: {driver: picky}}\ndevices:\n  - id: D\n    connection: p\n    metrics:\n      - " + metric + "\n"
	}
	tests := map[string]struct {
		src  string
		want string // lines joined
	}{
		"nothing":           {"{}", "edge.yaml:1:1: want version: 1, the only one there is\nedge.yaml:1:1: node.group is missing: give a Sparkplug id\nedge.yaml:1:1: node.id is missing: give a Sparkplug id\nedge.yaml:1:1: mqtt.servers is missing: give at least one server, like mqtts://broker:8883"},
		"ids":               {"version: 1\nnode: {group: a/b, id: \"x+\"}\nmqtt: {servers: [\"mqtt://[::1]:1\"], primary_host: \"#\"}\n", "edge.yaml:2:15: \"a/b\" is no Sparkplug id: it must not hold \"/\"\nedge.yaml:2:24: \"x+\" is no Sparkplug id: it must not hold \"+\"\nedge.yaml:3:51: \"#\" is no Sparkplug id: it must not hold \"#\""},
		"long id":           {"version: 1\nnode: {id: " + strings.Repeat("x", 257) + "}\nmqtt: {servers: [\"mqtt://localhost\"]}\n", "edge.yaml:2:1: group is missing: give a Sparkplug id\nedge.yaml:2:12: \"" + strings.Repeat("x", 40) + "\" is no Sparkplug id: it has 257 bytes, the limit is 256"},
		"port":              {"version: 1\nnode: {group: G, id: E}\nmqtt: {servers: [\"mqtts://h:70000\", \"mqtts://h:0\"]}\n", "edge.yaml:3:18: port 70000 is none of 1 to 65535: write mqtts://host:8883 or mqtt://host:1883\nedge.yaml:3:37: port 0 is none of 1 to 65535: write mqtts://host:8883 or mqtt://host:1883"},
		"keepalive":         {"version: 1\nnode: {group: G, id: E}\nmqtt: {servers: [\"mqtt://localhost\"], keepalive: 0s}\n", "edge.yaml:3:50: want 1s to 65535s, not 0s: the session of a dead link would never end"},
		"negative":          {"version: 1\nnode: {group: G, id: E}\nmqtt: {servers: [\"mqtt://localhost\"], keepalive: -5s}\n", "edge.yaml:3:50: -5s must not be negative"},
		"takes no writes":   {device("{name: A, addr: input, type: Float, write: {}}"), "edge.yaml:9:45: \"input\": takes no writes: leave out write"},
		"read of the same":  {device("{name: A, addr: input, type: Flot}"), "edge.yaml:9:38: no Sparkplug datatype \"Flot\": did you mean Float?"},
		"bounds of type":    {device("{name: A, addr: ok, type: UInt16, write: {min: -1, max: 65536}}"), "edge.yaml:9:56: min -1 does not fit UInt16\nedge.yaml:9:65: max 65536 does not fit UInt16"},
		"bounds scaled":     {device("{name: A, addr: ok, type: UInt16, scale: 0.1, as: Int8, write: {max: 200}}"), "edge.yaml:9:78: max 200 does not fit Int8"},
		"no name":           {device("{addr: ok, type: Float}"), "edge.yaml:9:10: name is missing: give one, / separates folders"},
		"of a device":       {device("{name: bdSeq, addr: ok, type: Float}\n      - {name: Node Control/Reboot, addr: ok, type: Boolean}"), "edge.yaml:9:16: \"bdSeq\" is the session's own metric\nedge.yaml:10:16: \"Node Control/Reboot\" is the session's own metric"},
		"no connection":     {head + "devices: [{id: D, connection: pcl, metrics: [{name: A, addr: ok, type: Flot, deadband: 5%}]}]\n", "edge.yaml:4:31: no connection \"pcl\": there is none\nedge.yaml:4:72: no Sparkplug datatype \"Flot\": did you mean Float?\nedge.yaml:4:88: a deadband in % needs range, the span it is a part of"},
		"servers":           {"version: 1\nnode: {group: G, id: E}\nmqtt:\n  servers: [\"tcp://a\", \"mqtt://10.0.0.1\", \"mqtts://u:p@h\", \"mqtts://h/x\"]\n", "edge.yaml:4:13: want mqtt:// or mqtts://, not tcp://: write mqtts://host:8883 or mqtt://host:1883\nedge.yaml:4:24: mqtt:// sends everything in the clear, so it is for this machine only: use mqtts://, or set mqtt.insecure: true\nedge.yaml:4:43: user and password go into mqtt.username and mqtt.password_file, not into the URL\nedge.yaml:4:60: too much behind the host: write mqtts://host:8883 or mqtt://host:1883"},
		"unknown driver":    {head + "connections: {p: {driver: piky}}\n", "edge.yaml:4:27: unknown driver \"piky\": did you mean picky?"},
		"unknown option":    {head + "connections: {p: {driver: picky, ulr: x}}\n", "edge.yaml:4:39: ulr: unknown key; did you mean url?"},
		"address":           {device("{name: A, addr: nok, type: Float}"), "edge.yaml:9:25: \"nok\": want ok"},
		"connection":        {head + "connections: {plc: {driver: picky}}\ndevices: [{id: D, connection: pcl, metrics: [{name: A, addr: ok, type: Float}]}]\n", "edge.yaml:5:31: no connection \"pcl\": did you mean plc?"},
		"type":              {device("{name: A, addr: ok, type: float}"), "edge.yaml:9:35: no Sparkplug datatype \"float\": did you mean Float?"},
		"later type":        {device("{name: A, addr: ok, type: DataSet}"), "edge.yaml:9:35: no equipment has a DataSet: leave out addr, and it is held in memory"},
		"scaled text":       {device("{name: A, addr: ok, type: String, scale: 2}"), "edge.yaml:9:50: a String published as Double cannot be scaled"},
		"percent":           {device("{name: A, addr: ok, type: Float, deadband: 5%}"), "edge.yaml:9:52: a deadband in % needs range, the span it is a part of"},
		"range":             {device("{name: A, addr: ok, type: Float, range: [5, 5]}"), "edge.yaml:9:42: want [low, high], not [5, 5]"},
		"value of address":  {device("{name: A, addr: ok, type: Float, value: 5}"), "edge.yaml:9:49: a metric with addr has the value of the equipment: leave one out"},
		"bounds":            {device("{name: A, addr: ok, type: Float, write: {min: 5, max: 1}}"), "edge.yaml:9:42: min 5 is above max 1"},
		"twice":             {device("{name: A, addr: ok, type: Float}\n      - {name: a, addr: ok, type: Float}"), "edge.yaml:10:16: there is a metric \"A\" already"},
		"node address":      {head + "metrics: [{name: A, addr: ok, type: Float}]\n", "edge.yaml:4:27: a metric of the node has no connection: leave out addr, or put it into a device"},
		"session's own":     {head + "metrics: [{name: bdSeq, type: Int64}]\n", "edge.yaml:4:18: \"bdSeq\" is the session's own metric"},
		"initial value":     {head + "metrics: [{name: A, type: Int8, value: 300}]\n", "edge.yaml:4:40: "},
		"template":          {head + "templates: {m: [{name: A, addr: \"{bas}\", type: Float}]}\nconnections: {p: {driver: picky}}\ndevices:\n  - {id: D, connection: p, use: [{template: m, base: ok}, {template: mm}]}\n", "edge.yaml:7:35: template m, metric \"A\": {bas}: no parameter \"bas\"\nedge.yaml:7:70: no template \"mm\": did you mean m?"},
		"table":             {head + "metrics: [{name: A, type: DataSet}]\n", "edge.yaml:4:12: value is missing: a DataSet needs its columns, like {columns: [{name: Batch, type: Int32}], rows: [[1]]}"},
		"table cell":        {head + "metrics: [{name: A, type: DataSet, value: {columns: [{name: A, type: Int8}], rows: [[300]]}}]\n", "edge.yaml:4:36: "},
		"template itself":   {head + "metrics: [{name: A, type: Template}]\n", "edge.yaml:4:27: a Template is put together from its members: describe it under templates, and use it with instance: true"},
		"template instance": {head + "templates: {m: [{name: A, type: Int8}]}\ndevices: [{id: D, use: [{template: m, instance: true}]}]\n", "edge.yaml:5:26: as is missing: an instance needs a name"},
		"template cycle":    {head + "templates: {m: {metrics: [{name: A, type: Int8}], use: [{template: m, as: B}]}}\nuse: [{template: m, as: M}]\n", "edge.yaml:4:68: template \"m\" is within itself, or too deep"},
		"template members":  {head + "templates: {m: [{name: \"A{n}\", type: Int8}]}\nuse: [{template: m, as: M, instance: true, n: 1}]\n", "edge.yaml:4:24: the members of a template that is published have the same names in all its instances"},
		"template inside":   {head + "templates: {i: [{name: A, type: Int8}], m: {use: [{template: i, as: I}]}}\nuse: [{template: m, as: M, instance: true}]\n", "edge.yaml:4:52: what is within a template that is published must be an instance too"},
		"template name":     {head + "templates: {m: [{name: A, type: Int8}]}\nuse: [{template: m, as: M, instance: true}]\nmetrics: [{name: m, type: Int8}]\n", "edge.yaml:5:8: template \"m\" is published under its name, which a metric of the node has too"},
		"template types":    {head + "templates: {m: {parameters: {p: 1}, metrics: [{name: A, type: Int8}]}}\nuse: [{template: m, as: M, instance: true, p: x}]\n", "edge.yaml:5:47: parameter \"p\" of template \"m\" is Int64 elsewhere"},
		"node template":     {head + "templates: {m: [{name: A, addr: ok, type: Int8}]}\nuse: [{template: m}]\n", "edge.yaml:5:8: metric \"A\" has an addr, and the node no connection: use the template in a device"},
		"property":          {head + "metrics: [{name: A, type: Int8, properties: {engUnit: m}}]\n", "edge.yaml:4:33: \"engUnit\" has a key of its own"},
		"property list":     {head + "metrics: [{name: A, type: Int8, properties: {x: [1]}}]\n", "edge.yaml:4:33: x: want a text, a number, true or false"},
		"template address":  {head + "templates: {m: [{name: A, addr: \"{base}\", type: Float}]}\nconnections: {p: {driver: picky}}\ndevices:\n  - {id: D, connection: p, use: [{template: m, base: 5}]}\n", "edge.yaml:4:33: \"5\": want ok"},
		"spool":             {head + "spool: {when_full: block}\n", "edge.yaml:4:20: \"block\" is none of drop_oldest"},
		"class":             {head + "scan_classes: {fast: 0s}\ndevices: [{id: D, class: fats}]\n", "edge.yaml:4:22: want 1ms to 24h, not 0s\nedge.yaml:5:26: no scan class \"fats\": did you mean fast?"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, map[string]string{"edge.yaml": tt.src})
			if err == nil || err.Error() != tt.want && !(strings.HasSuffix(tt.want, ": ") && strings.HasPrefix(err.Error(), tt.want)) {
				t.Errorf("got\n%v\nwant\n%s", err, tt.want)
			}
		})
	}
}

func TestSchema(t *testing.T) {
	s := string(edgenode.Schema())
	for _, want := range []string{`"deadband"`, `"drop_oldest"`, `"type": "number"`, `"additionalProperties": true`} {
		if !strings.Contains(s, want) {
			t.Errorf("no %s in the schema", want)
		}
	}
}

func TestLoadTagFile(t *testing.T) {
	src := head + "connections: {p: {driver: picky}}\ndevices: [{id: D, connection: p, csv: tags.csv}]\n"
	good := "\ufeffName;Addr;Type;Scale;Range_Low;Range_High;Deadband;Write;Write_Max\r\n# a comment\r\nA;ok;Int16;0.1;0;100;1%;true;50\r\n\"B;x\";ok;Float;;;;;;\r\n"
	if _, err := load(t, map[string]string{"edge.yaml": src, "tags.csv": good}); err != nil {
		t.Error(err)
	}
	tests := map[string]struct{ csv, want string }{
		"columns": {"name,tpye,addr\nA,Float,ok\n", "tags.csv:1:6: unknown column \"tpye\": did you mean type?"},
		"missing": {"name,addr\n", "tags.csv:1:1: the header has no column \"type\""},
		"cells": {
			"name,type,addr,scale,write\nA,Float,ok,x,\nB,Flot,ok,,\nC,Float,no,,maybe\nD,Float,ok\n",
			"tags.csv:2:12: scale: want a number, not \"x\"\ntags.csv:3:3: type: no Sparkplug datatype \"Flot\": did you mean Float?\ntags.csv:4:9: addr: \"no\": want ok\ntags.csv:4:13: write: want true or false, not \"maybe\"\ntags.csv:5:1: the row has 3 fields, the header 5",
		},
		"bounds": {"name,type,addr,write,write_max\nA,Int8,input,true,\nB,Int8,ok,true,300\n,Int8,ok,,\n", "tags.csv:2:14: write: \"input\": takes no writes: leave out write\ntags.csv:3:16: write_max: max 300 does not fit Int8\ntags.csv:4:1: name: name is missing: give one, / separates folders"},
		"quotes": {"name,type\n\"A,Float\n", "tags.csv:2:10: extraneous or missing \" in quoted-field"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, map[string]string{"edge.yaml": src, "tags.csv": tt.csv})
			if err == nil || err.Error() != tt.want {
				t.Errorf("got\n%v\nwant\n%s", err, tt.want)
			}
		})
	}
}

// FuzzLoad checks that no configuration and no tag file panics.
func FuzzLoad(f *testing.F) {
	f.Add(head+"templates: {m: [{name: A, addr: \"{base+2}\", type: Int16, scale: 0.1, deadband: 1%, range: [0, 9]}]}\nconnections: {p: {driver: picky}}\ndevices:\n  - {id: D, connection: p, use: [{template: m, base: 5}], csv: tags.csv}\n", "name,type,addr\nA,Float,ok\n")
	f.Add(head+"metrics: [{name: A, type: Int8Array, value: [1, 2]}]\n", "name;type\n\"")
	f.Fuzz(func(t *testing.T, src, csv string) {
		dir := t.TempDir()
		name := filepath.Join(dir, "edge.yaml")
		if os.WriteFile(name, []byte(src), 0o600) != nil || os.WriteFile(filepath.Join(dir, "tags.csv"), []byte(csv), 0o600) != nil {
			t.Fatal("the file cannot be written")
		}
		cfg, err := edgenode.Load(name, edgenode.Drivers{"picky": openPicky})
		if (cfg == nil) == (err == nil) {
			t.Errorf("%v, %v", cfg, err)
		}
	})
}
