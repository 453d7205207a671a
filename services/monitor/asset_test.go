package monitor_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/monitor"
)

func TestParsePath(t *testing.T) {
	for text, want := range map[string]monitor.Path{
		"ACME/plant1":                       {Enterprise: "ACME", Site: "plant1"},
		"ACME/plant1/Hall 3":                {Enterprise: "ACME", Site: "plant1", Area: "Hall 3"},
		"ACME/plant1/Hall 3/line 1/Zelle ä": {Enterprise: "ACME", Site: "plant1", Area: "Hall 3", Line: "line 1", Cell: "Zelle ä"},
	} {
		got, err := monitor.ParsePath(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, text, got.String())
	}
	for text, want := range map[string]string{
		"":                             "path: is not enterprise/site",
		"ACME":                         "path: is not enterprise/site",
		"a/b/c/d/e/f":                  "path: more than 5 levels",
		"/b":                           "path.enterprise: is empty",
		"a/b/":                         "path.area: is empty",
		"a/b c":                        `path.site: "b c" is part of topics`,
		"a/b/c/ d":                     "path.line: \" d\" begins or ends with a space",
		"a/b/c/d/#":                    "path.cell: \"#\" has + or #",
		"a/b/\x01":                     "path.area: \"\\x01\" has control",
		strings.Repeat("x", 65) + "/b": "path.enterprise: 65 bytes, at most 64",
	} {
		_, err := monitor.ParsePath(text)
		require.ErrorContains(t, err, "monitor: "+want)
	}
}

// What parses prints back as it came.
func FuzzParsePath(f *testing.F) {
	f.Add("ACME/plant1/hall/line/cell")
	f.Add("a//b")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := monitor.ParsePath(s)
		if err != nil {
			require.ErrorAs(t, err, new(*monitor.Fault))
			return
		}
		require.Equal(t, s, p.String())
		require.True(t, event.ValidID(p.Site))
	})
}

func TestAssetID(t *testing.T) {
	for want, d := range map[string]event.Descriptor{
		"line_1..press-3":       {Group: "line_1", Node: "press-3"},
		"line_1..press-3..pump": {Group: "line_1", Node: "press-3", Device: "pump"},
		"a.2eb..c.20d..x.c3.a4": {Group: "a.b", Node: "c d", Device: "xä"},
		"a.2e.2eb..c":           {Group: "a..b", Node: "c"},
	} {
		id, err := monitor.AssetID(d)
		require.NoError(t, err)
		require.Equal(t, want, id)
	}
	for want, d := range map[string]event.Descriptor{
		"sparkplug.group: is missing":                     {Node: "a"},
		"sparkplug.node: is missing":                      {Group: "a"},
		"sparkplug.node: \"a/b\" has / + #":               {Group: "a", Node: "a/b"},
		"sparkplug.device: \"\\xff\" has / + # or NUL, o": {Group: "a", Node: "b", Device: "\xff"},
	} {
		_, err := monitor.AssetID(d)
		require.ErrorContains(t, err, want)
		_, err = monitor.Discover(d, monitor.Path{})
		require.ErrorContains(t, err, want)
	}
}

// A long id is cut, and its tail can not be taken for a level of a short one.
func TestAssetIDLong(t *testing.T) {
	long := event.Descriptor{Group: strings.Repeat("g", 61), Node: strings.Repeat("n", 200)}
	id, err := monitor.AssetID(long)
	require.NoError(t, err)
	require.True(t, event.ValidID(id))
	tail := id[strings.LastIndexByte(id, '.')+1:]
	require.Len(t, tail, 65)
	short, err := monitor.AssetID(event.Descriptor{Group: long.Group, Node: tail})
	require.NoError(t, err)
	require.NotEqual(t, short, id)
	long.Node += "n"
	other, err := monitor.AssetID(long)
	require.NoError(t, err)
	require.NotEqual(t, id, other)
}

// unescape is the way back from a short id.
func unescape(t *testing.T, id string) (levels []string) {
	t.Helper()
	var b strings.Builder
	for i := 0; i < len(id); i++ {
		switch {
		case id[i] != '.':
			b.WriteByte(id[i])
		case id[i+1] == '.':
			levels = append(levels, b.String())
			b.Reset()
			i++
		default:
			hex := strings.IndexByte("0123456789abcdef", id[i+1])<<4 | strings.IndexByte("0123456789abcdef", id[i+2])
			require.GreaterOrEqual(t, hex, 0)
			b.WriteByte(byte(hex))
			i += 2
		}
	}
	return append(levels, b.String())
}

// An id leads back to the one it was made from, so no two have the same.
func FuzzAssetID(f *testing.F) {
	f.Add("line_1", "press", "pump")
	f.Add("a.", ".b", "..")
	f.Add("ä b", "%", "")
	f.Add(strings.Repeat("g", 61), "x"+strings.Repeat("0", 64), "")
	f.Fuzz(func(t *testing.T, group, node, device string) {
		id, err := monitor.AssetID(event.Descriptor{Group: group, Node: node, Device: device})
		if err != nil {
			require.ErrorAs(t, err, new(*monitor.Fault))
			return
		}
		require.True(t, event.ValidID(id), id)
		if strings.Contains(strings.ReplaceAll(id, "..", "/"), ".x") {
			require.Greater(t, len(id), 64)
			return
		}
		want := []string{group, node}
		if device != "" {
			want = append(want, device)
		}
		require.Equal(t, want, unescape(t, id))
	})
}

func TestDiscover(t *testing.T) {
	path := monitor.Path{Enterprise: "ACME", Site: "plant1"}
	a, err := monitor.Discover(event.Descriptor{Group: "g", Node: "n", Device: "d\x01"}, path)
	require.NoError(t, err)
	require.Equal(t, "g..n..d.01", a.ID)
	require.Equal(t, "d?", a.Name)
	require.Equal(t, "ACME/plant1", a.Path)
	require.NoError(t, a.Check())
	_, err = monitor.Discover(event.Descriptor{Group: "g", Node: strings.Repeat("ä", 200)}, path)
	require.NoError(t, err)

	a = monitor.Asset{ID: "a b", Asset: event.Asset{
		Criticality: "E", Location: "\x00", TaskTemplates: []string{"ok", "not ok"}, Sparkplug: &event.Descriptor{},
	}}
	for _, want := range []string{"id:", "path:", "name:", "class:", "criticality:", "location:", "sparkplug.group:", "sparkplug.node:", "task_templates[1]:"} {
		require.ErrorContains(t, a.Check(), "monitor: "+want)
	}
	a.TaskTemplates = make([]string, monitor.MaxTemplates+1)
	require.ErrorContains(t, a.Check(), "task_templates: 65, at most 64")
}
