package journaltest_test

import (
	"fmt"

	"github.com/magneto-iiot/magneto/internal/journal/journaltest"
)

func Example() {
	d := journaltest.NewDisk(1)
	f, err := d.Open("file")
	fmt.Println(err)
	_, err = f.WriteAt([]byte("written"), 0)
	fmt.Println(err, f.Sync(), d.Sync())
	_, err = f.WriteAt([]byte(" and not synced"), 7)
	fmt.Println(err)
	d.Reboot(0)
	f, err = d.Open("file")
	fmt.Println(err)
	fmt.Println(f.Size())
	// Output:
	// <nil>
	// <nil> <nil> <nil>
	// <nil>
	// <nil>
	// 7 <nil>
}
