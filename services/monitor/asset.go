package monitor

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/magneto-iiot/magneto/services/event"
)

// Asset is what the registry holds: an id, and what is told of it.
type Asset struct {
	ID string `json:"id"` // A-Z a-z 0-9 _ . -
	event.Asset
}

// MaxTemplates is how many task templates an asset may have.
const MaxTemplates = 64

// What Discover puts until a person knows better.
const (
	Unclassified = "unclassified"
	Unranked     = "D"
)

// Check finds everything that is wrong with a: nil, or an error that joins a *Fault
// for each.
func (a *Asset) Check() error {
	var f faults
	f.id("id", a.ID)
	if _, err := ParsePath(a.Path); err != nil {
		f = append(f, err)
	}
	f.text("name", a.Name, true)
	f.text("class", a.Class, true)
	f.text("location", a.Location, false)
	oneOf(&f, "criticality", a.Criticality, "A", "B", "C", "D")
	if a.Sparkplug != nil {
		checkDescriptor(&f, a.Sparkplug)
	}
	if len(a.TaskTemplates) > MaxTemplates {
		f.add("task_templates", "%d, at most %d", len(a.TaskTemplates), MaxTemplates)
		return f.err()
	}
	for i, t := range a.TaskTemplates {
		f.id(fmt.Sprintf("task_templates[%d]", i), t)
	}
	return f.err()
}

// checkDescriptor finds fault with ids that can not be levels of a Sparkplug topic.
func checkDescriptor(f *faults, d *event.Descriptor) {
	for _, part := range []struct {
		field, id string
		must      bool
	}{{"group", d.Group, true}, {"node", d.Node, true}, {"device", d.Device, false}} {
		switch where := "sparkplug." + part.field; {
		case part.id == "" && part.must:
			f.add(where, "is missing")
		case !utf8.ValidString(part.id) || strings.ContainsAny(part.id, "/+#\x00"):
			f.add(where, "%q has / + # or NUL, or is no UTF-8", part.id)
		}
	}
}

// Discover makes an asset from the birth of a node or device: it is at a place of
// the hierarchy, and has no class and rank yet. Its error joins a *Fault for all
// that is wrong.
func Discover(d event.Descriptor, at Path) (Asset, error) {
	id, err := AssetID(d)
	if err != nil {
		return Asset{}, err
	}
	name := cmp.Or(d.Device, d.Node)
	for len(name) > MaxName || !utf8.ValidString(name) {
		name = name[:len(name)-1]
	}
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, name)
	a := Asset{ID: id, Asset: event.Asset{
		Path: at.String(), Name: name, Class: Unclassified, Criticality: Unranked, Sparkplug: &d,
	}}
	return a, a.Check()
}

// AssetID is the id of the asset that a node or device is: the same for the same
// one, and another for any other. Levels are joined by two dots; A-Z a-z 0-9 _ -
// stay, and each other byte is a dot and two hex digits. An id that would be longer
// than event.MaxID is cut, and ends in .x and the SHA-256 of the whole: then two are
// different as far as that hash tells. The error joins a *Fault for each bad level.
func AssetID(d event.Descriptor) (string, error) {
	var f faults
	if checkDescriptor(&f, &d); len(f) > 0 {
		return "", f.err()
	}
	var b strings.Builder
	escape(&b, d.Group)
	b.WriteString("..")
	escape(&b, d.Node)
	if d.Device != "" {
		b.WriteString("..")
		escape(&b, d.Device)
	}
	id := b.String()
	if len(id) <= event.MaxID {
		return id, nil
	}
	sum := sha256.Sum256([]byte(id))
	tail := ".x" + hex.EncodeToString(sum[:])
	// A dot before the tail would make it the separator of a short id.
	return strings.TrimRight(id[:event.MaxID-len(tail)], ".") + tail, nil
}

func escape(b *strings.Builder, s string) {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
			b.WriteByte(c)
		default:
			fmt.Fprintf(b, ".%02x", c)
		}
	}
}
