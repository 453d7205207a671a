package hostapp

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"time"

	"github.com/magneto-iiot/magneto/hostapp/watch"
)

// Rows of the status page; beyond them it says how many there are.
const (
	pageNodes   = 200
	pageMetrics = 200  // of each node or device
	pageRows    = 5000 // of all together
)

//go:embed page.html
var pageText string

//go:embed style.css
var styleText []byte

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"time": func(ms int64) string {
		if ms == 0 {
			return "never"
		}
		return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05.000")
	},
}).Parse(pageText))

type pageData struct {
	Host      string
	Now       int64
	Servers   []pageServer
	History   string
	Stats     watch.Stats
	Nodes     []pageNode
	MoreNodes int
}

type pageServer struct {
	Name, Words string
	Online      bool
}

type pageNode struct {
	watch.NodeInfo
	Parts []pagePart
}

// pagePart is the node itself or one device.
type pagePart struct {
	Device  string
	State   watch.State
	Metrics []watch.MetricInfo
	More    int
}

func (h *Host) getPage(w http.ResponseWriter, _ *http.Request) error {
	data := pageData{Host: h.cfg.ID, Now: h.now(), Stats: h.watch.Stats(), History: "not kept"}
	for _, p := range h.presences {
		data.Servers = append(data.Servers, pageServer{p.server.Name, *p.words.Load(), p.online.Load()})
	}
	if h.ingest != nil {
		if data.History = h.ingest.behind(); data.History == "" {
			data.History = "written"
		}
	}
	nodes := h.watch.Nodes()
	if len(nodes) > pageNodes {
		nodes, data.MoreNodes = nodes[:pageNodes], len(nodes)-pageNodes
	}
	room := pageRows
	for _, n := range nodes {
		pn := pageNode{NodeInfo: n, Parts: []pagePart{h.part(&n, "", n.State, n.Metrics, &room)}}
		for _, d := range n.Devices {
			pn.Parts = append(pn.Parts, h.part(&n, d.Device, d.State, d.Metrics, &room))
		}
		data.Nodes = append(data.Nodes, pn)
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, data); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(b.Bytes()) // the client has left
	return nil
}

// part shows the metrics of a node or device as far as there is room.
func (h *Host) part(n *watch.NodeInfo, device string, state watch.State, metrics int, room *int) pagePart {
	p := pagePart{Device: device, State: state, More: metrics}
	if *room <= 0 {
		return p
	}
	p.Metrics, _ = h.watch.Metrics(n.Group, n.Node, device)
	all := len(p.Metrics)
	p.Metrics = p.Metrics[:min(all, pageMetrics, *room)]
	p.More = all - len(p.Metrics)
	*room -= len(p.Metrics)
	return p
}

func getStyle(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = w.Write(styleText) // the client has left
	return nil
}
