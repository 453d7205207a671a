package main

import (
	"context"
	"os"
)

func Example() {
	a := &app{out: os.Stdout, err: os.Stdout}
	a.run(context.Background(), []string{"chek", "-c", "edge.yaml"})
	// Output:
	// magneto-edge: unknown command "chek": did you mean check?
	// Run 'magneto-edge --help', or 'magneto-edge COMMAND --help'.
}
