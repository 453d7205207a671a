package edgenode

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/magneto-iiot/magneto/internal/config"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// maxNesting bounds templates within templates.
const maxNesting = 8

// definition is a template that has instances.
type definition struct {
	params map[string]sparkplug.Value // null where there is no default
	path   string                     // of the first use, for faults
	types  map[string]sparkplug.DataType
}

// use unfolds a template into a device: into single metrics, or into the
// members of one instance.
func (k *compiler) use(u *Use, path string) []placed {
	if u.Instance && u.As == "" {
		k.check.Faultf(config.Key(path, "as"), "as is missing: an instance needs a name")
		return nil
	}
	out, top := k.unfoldUse(u, path, nil, 0)
	if top != nil {
		for i := range out {
			out[i].in = top
		}
	}
	return out
}

// unfoldUse unfolds a use, within an outer one that has the parameters outer.
// When it is an instance that comes back too, with slots still to be given.
func (k *compiler) unfoldUse(u *Use, path string, outer map[string]any, depth int) ([]placed, *instance) {
	t, ok := k.cfg.Templates[u.Template]
	switch {
	case u.Template == "":
		k.check.Faultf(config.Key(path, "template"), "template is missing: name one")
		return nil, nil
	case !ok:
		k.check.Faultf(config.Key(path, "template"), "no template %q%s", u.Template,
			orText(suggest(u.Template, slices.Sorted(maps.Keys(k.cfg.Templates))), ": "+among(k.cfg.Templates)))
		return nil, nil
	case depth > maxNesting:
		k.check.Faultf(config.Key(path, "template"), "template %q is within itself, or too deep", u.Template)
		return nil, nil
	}
	params := maps.Clone(t.Parameters)
	if params == nil {
		params = map[string]any{}
	}
	maps.Copy(params, outer)
	maps.Copy(params, k.expandParams(u, path, outer))
	var n *instance
	if u.Instance {
		n = &instance{name: u.As, ref: u.Template, version: t.Version}
		k.publish(n, &t, u, path, params)
	}
	out := k.members(&t, u, path, params, n)
	here := config.Key("templates", u.Template)
	for i := range t.Use {
		inner, deep := k.unfoldUse(&t.Use[i], config.Index(config.Key(here, "use"), i), params, depth+1)
		if n != nil && deep == nil && len(inner) > 0 {
			k.check.Faultf(config.Index(config.Key(here, "use"), i), "what is within a template that is published must be an instance too")
		}
		if n != nil && deep != nil {
			n.members = append(n.members, member{name: deep.name, inner: deep})
		}
		for _, p := range inner {
			if u.As != "" {
				p.Name = u.As + "/" + p.Name
			}
			out = append(out, p)
		}
	}
	return out, n
}

// expandParams puts the parameters of the outer template into those of a use
// within it.
func (k *compiler) expandParams(u *Use, path string, outer map[string]any) map[string]any {
	params := maps.Clone(u.Params)
	for key, v := range params {
		s, ok := v.(string)
		if !ok || !strings.Contains(s, "{") {
			continue
		}
		text, err := expand(s, outer)
		if err != nil {
			k.check.Faultf(config.Key(path, key), "%v", err)
			continue
		}
		if params[key] = any(text); strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") {
			if number, ok := wholeNumber(text); ok {
				params[key] = number
			}
		}
	}
	return params
}

func wholeNumber(s string) (n int64, ok bool) {
	_, err := fmt.Sscan(s, &n)
	return n, err == nil && fmt.Sprint(n) == s
}

// members unfolds the metrics of a template; n is the instance they are
// members of, or nil.
func (k *compiler) members(t *Template, u *Use, path string, params map[string]any, n *instance) []placed {
	out := make([]placed, 0, len(t.Metrics))
	for i, m := range t.Metrics {
		o := origin{path: config.Index(config.Key(config.Key("templates", u.Template), "metrics"), i)}
		if n != nil && strings.Contains(m.Name, "{") {
			o.fault(k.check, "name", "the members of a template that is published have the same names in all its instances")
		}
		for _, field := range []*string{&m.Name, &m.Addr, &m.Unit, &m.Description} {
			text, err := expand(*field, params)
			if err != nil {
				k.check.Faultf(path, "template %s, metric %q: %v", u.Template, m.Name, err)
			}
			*field = text
		}
		if n != nil {
			n.members = append(n.members, member{name: m.Name})
		}
		if u.As != "" {
			m.Name = u.As + "/" + m.Name
		}
		out = append(out, placed{m, o, nil})
	}
	return out
}

// publish notes that a template has an instance, and gives it its parameters.
func (k *compiler) publish(n *instance, t *Template, u *Use, path string, params map[string]any) {
	def := k.published[n.ref]
	if def == nil {
		def = &definition{params: map[string]sparkplug.Value{}, path: path, types: map[string]sparkplug.DataType{}}
		k.published[n.ref] = def
		for name, v := range t.Parameters {
			value, err := scalar(v)
			if err != nil {
				k.check.Faultf(config.Key(config.Key(config.Key("templates", n.ref), "parameters"), name), "%v", err)
				continue
			}
			def.params[name], def.types[name] = value, value.Type()
		}
	}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if _, own := u.Params[name]; !own && t.Parameters[name] == nil {
			continue // of an outer template
		}
		v, err := scalar(params[name])
		if err != nil {
			k.check.Faultf(config.Key(path, name), "%v", err)
			continue
		}
		if was, known := def.types[name]; known && was != v.Type() {
			if v, err = convert(v, was); err != nil || !was.Numeric() {
				k.check.Faultf(config.Key(path, name), "parameter %q of template %q is %s elsewhere", name, n.ref, was)
				continue
			}
		} else if !known {
			def.params[name], def.types[name] = sparkplug.Null(v.Type()), v.Type()
		}
		n.params = append(n.params, sparkplug.Parameter{Name: name, Value: v})
	}
}

// scalar reads a parameter or property.
func scalar(v any) (sparkplug.Value, error) {
	switch v := v.(type) {
	case string:
		return sparkplug.String(v), nil
	case bool:
		return sparkplug.Boolean(v), nil
	case int:
		return sparkplug.Int(sparkplug.TypeInt64, int64(v)), nil
	case int64:
		return sparkplug.Int(sparkplug.TypeInt64, v), nil
	case uint64:
		return sparkplug.Uint(sparkplug.TypeUInt64, v), nil
	case float64:
		return sparkplug.Double(v), nil
	}
	return sparkplug.Value{}, fmt.Errorf("want a text, a number, true or false")
}

// place gives the members of the instances their slots, in the order of the
// metrics.
func (d *deviceDef) place() {
	for i := 0; i < len(d.metrics); {
		n := d.metrics[i].in
		if n == nil {
			i++
			continue
		}
		next := uint32(i)
		n.place(&next)
		for ; i < len(d.metrics) && d.metrics[i].in == n; i++ {
		}
	}
}

// place numbers the members: first the metrics, then those of each instance
// within, as unfoldUse lists them.
func (n *instance) place(next *uint32) {
	n.first = *next
	for i := range n.members {
		if m := &n.members[i]; m.inner == nil {
			m.slot = *next
			*next++
		}
	}
	for i := range n.members {
		if m := &n.members[i]; m.inner != nil {
			m.inner.place(next)
		}
	}
}

// define makes the definitions of the templates that have instances.
//
// Spec: tck-id-payloads-template-definition-nbirth, tck-id-payloads-template-definition-ref,
// tck-id-payloads-template-definition-members, tck-id-payloads-template-definition-parameters.
func (k *compiler) define() {
	node := k.plan.node
	for _, name := range slices.Sorted(maps.Keys(k.published)) {
		def := k.published[name]
		if i := slices.IndexFunc(node.metrics, func(m metricDef) bool { return m.in == nil && m.name == name || m.in != nil && m.in.name == name }); i >= 0 {
			k.check.Faultf(def.path, "template %q is published under its name, which a metric of the node has too", name)
		}
		n := k.sample(name)
		if n == nil {
			continue // its use has a fault
		}
		t := &sparkplug.Template{Version: n.version, IsDefinition: true, Metrics: k.defined(n)}
		for _, p := range slices.Sorted(maps.Keys(def.params)) {
			t.Parameters = append(t.Parameters, sparkplug.Parameter{Name: p, Value: def.params[p]})
		}
		node.defs = append(node.defs, sparkplug.Metric{Name: name, Value: sparkplug.OfTemplate(t)})
	}
}

// sample is an instance of a template, with the device it is in.
func (k *compiler) sample(ref string) *instance {
	for _, d := range append([]*deviceDef{k.plan.node}, k.plan.devices...) {
		for i := range d.metrics {
			if n := d.metrics[i].in; n != nil {
				if found := n.instanceOf(ref); found != nil {
					found.in = d
					return found
				}
			}
		}
	}
	return nil
}

func (n *instance) instanceOf(ref string) *instance {
	if n.ref == ref {
		return n
	}
	for _, m := range n.members {
		if m.inner != nil {
			if found := m.inner.instanceOf(ref); found != nil {
				return found
			}
		}
	}
	return nil
}

// defined lists the members of a definition: types without values.
func (k *compiler) defined(n *instance) (out []sparkplug.Metric) {
	for _, m := range n.members {
		if m.inner != nil {
			m.inner.in = n.in
			t := m.inner.head()
			t.Metrics = k.defined(m.inner)
			out = append(out, sparkplug.Metric{Name: m.name, Value: sparkplug.OfTemplate(t)})
			continue
		}
		out = append(out, sparkplug.Metric{Name: m.name, Value: sparkplug.Null(n.in.metrics[m.slot].scaling.pub)})
	}
	return out
}

// extras checks the free properties of a metric.
func (k *compiler) extras(p *placed) {
	for _, key := range slices.Sorted(maps.Keys(p.Properties)) {
		if slices.Contains(reserved, key) {
			p.origin.fault(k.check, "properties", "%q has a key of its own", key)
		} else if _, err := scalar(p.Properties[key]); err != nil {
			p.origin.fault(k.check, "properties", "%s: %v", key, err)
		}
	}
}
