package config_test

import (
	"fmt"

	"github.com/magneto-iiot/magneto/internal/config"
)

func Example() {
	type pump struct {
		ID   string          `yaml:"id"`
		Scan config.Duration `yaml:"scan"`
	}
	src := "id: P1\nscan: fast\nspeed: 3\n"
	_, err := config.Parse("pump.yaml", []byte(src), config.Options{}, func(p *pump, c *config.Checker) {})
	fmt.Println(err)
	// Output:
	// pump.yaml:2:7: "fast" is no duration: write it like 100ms, 1s, 5m, 2h or 7d
	// pump.yaml:3:1: unknown key "speed"
}
