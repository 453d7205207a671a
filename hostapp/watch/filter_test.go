package watch_test

import (
	"testing"

	"github.com/magneto-iiot/magneto/hostapp/watch"
)

func TestFilters(t *testing.T) {
	tests := map[string]struct{ in, want []string }{
		"one":         {[]string{"spBv1.0/#"}, []string{"spBv1.0/#"}},
		"same twice":  {[]string{"a/#", "a/#"}, []string{"a/#"}},
		"covered":     {[]string{"spBv1.0/A/#", "spBv1.0/#"}, []string{"spBv1.0/#"}},
		"plus covers": {[]string{"a/+/c", "a/b/c"}, []string{"a/+/c"}},
		"parent of #": {[]string{"a/#", "a"}, []string{"a/#"}},
		"apart":       {[]string{"a/+/c", "a/b/+"}, []string{"a/+/c", "a/b/+"}},
		"not longer":  {[]string{"a/b", "a/b/c"}, []string{"a/b", "a/b/c"}},
		"plus not #":  {[]string{"a/+", "a/#"}, []string{"a/#"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := watch.Filters(1, tt.in...)
			if len(got) != len(tt.want) {
				t.Fatalf("Filters(%q) = %v, want %q", tt.in, got, tt.want)
			}
			for i := range got {
				if got[i].Topic != tt.want[i] || got[i].QoS != 1 {
					t.Errorf("Filters(%q) = %v, want %q", tt.in, got, tt.want)
				}
			}
		})
	}
}

func TestValidFilter(t *testing.T) {
	for in, want := range map[string]bool{
		"spBv1.0/#": true, "+/+": true, "#": true, "a//b": true,
		"": false, "a/#/b": false, "a#": false, "a/b+": false, "a\x00": false,
	} {
		if got := watch.ValidFilter(in); got != want {
			t.Errorf("ValidFilter(%q) = %v, want %v", in, got, want)
		}
	}
}
