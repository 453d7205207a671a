package influx_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/hostapp/history/influx"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// Write a sample to a database, here one that prints what it gets.
func Example() {
	db := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err == nil && len(body) > 0 {
			fmt.Printf("%s?%s\n%s", r.URL.Path, r.URL.RawQuery, body)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer db.Close()
	dir, err := os.MkdirTemp("", "influx")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	store, err := influx.Open(influx.Config{
		URL: db.URL, Org: "acme", Bucket: "plant", Token: "t0ken",
		DeadLetters: filepath.Join(dir, "refused.jsonl"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	ctx := context.Background()
	key := history.Key{Group: "Plant", Node: "line1", Device: "press", Metric: "Temp"}
	temp, err := store.Series(ctx, key, history.Meta{Type: sparkplug.TypeFloat})
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := store.Write(ctx, []history.Point{
		{Series: temp, Timestamp: 1779278400000, Value: sparkplug.Float(21.5), Quality: history.QualityGood},
	})
	fmt.Println(res.Written, err)
	// Output:
	// /api/v2/write?bucket=plant&org=acme&precision=ms
	// sparkplug,group=Plant,edge_node=line1,device=press,metric=Temp f=21.5 1779278400000
	// 1 <nil>
}
