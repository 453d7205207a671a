package session

// hostDevice is a host's view of a device.
type hostDevice struct {
	name   string
	shape  *Shape
	online bool
	kept   bool // it was online when the host lost its node
}

// devices is a node's list of devices in the order they were first born: most
// nodes have a few, so that a map is made only for the others.
type devices struct {
	list  []hostDevice
	index map[string]int
}

const fewDevices = 8

func (d *devices) find(name string) *hostDevice {
	if d.index != nil {
		if i, ok := d.index[name]; ok {
			return &d.list[i]
		}
		return nil
	}
	for i := range d.list {
		if d.list[i].name == name {
			return &d.list[i]
		}
	}
	return nil
}

// add appends a device that find does not know.
func (d *devices) add(name string) *hostDevice {
	d.list = append(d.list, hostDevice{name: name})
	switch {
	case d.index != nil:
		d.index[name] = len(d.list) - 1
	case len(d.list) > fewDevices:
		d.index = make(map[string]int, 2*len(d.list))
		for i := range d.list {
			d.index[d.list[i].name] = i
		}
	}
	return &d.list[len(d.list)-1]
}
