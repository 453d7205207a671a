package main

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"testing/synctest"
)

// TestRunPartsOrder checks that parts stop in the reverse order, each one only
// after the one that leans on it.
func TestRunPartsOrder(t *testing.T) {
	boom := errors.New("boom")
	tests := map[string]struct {
		fail string // part that ends by itself
		err  error
		want []string
	}{
		"asked to stop": {"", nil, []string{"c", "b", "a"}},
		"one fails":     {"b", boom, []string{"b", "c", "a"}},
		"one just ends": {"c", nil, []string{"c", "b", "a"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				var ended []string // parts end one after the other
				one := func(name string) part {
					return part{name, func(ctx context.Context) error {
						if name != tt.fail {
							<-ctx.Done()
						}
						ended = append(ended, name)
						return tt.err
					}}
				}
				if tt.fail == "" {
					go func() { synctest.Wait(); cancel() }()
				}
				err := runParts(ctx, one("a"), one("b"), one("c"))
				cancel()
				if tt.fail == "" && err != nil || tt.fail != "" && err == nil || tt.err != nil && !errors.Is(err, tt.err) {
					t.Errorf("err = %v", err)
				}
				if !slices.Equal(ended, tt.want) {
					t.Errorf("ended %v, want %v", ended, tt.want)
				}
			})
		})
	}
}

func TestFirstFree(t *testing.T) {
	hold, err := firstFree("127.0.0.1:0", true, listenTCP)
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	busy := hold.Addr().String()
	if ln, err := firstFree(busy, false, listenTCP); err == nil {
		ln.Close()
		t.Errorf("%s is busy, and was opened", busy)
	}
	next, err := firstFree(busy, true, listenTCP)
	if err != nil {
		t.Fatalf("the port after %s: %v", busy, err)
	}
	next.Close()
}

func listenTCP(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }
