package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/magneto-iiot/magneto/edgenode"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"magneto-edge": main})
}

// TestScripts runs the program as a user does: testdata/*.txt.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Cmds:                map[string]func(ts *testscript.TestScript, neg bool, args []string){"code": wantCode, "fill": fill},
	})
}

// fill runs the agent until its spool holds a few records, and kills it: fill pump.yaml.
func fill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fill config")
	}
	file := ts.MkAbs(args[0])
	program, err := exec.LookPath("magneto-edge")
	ts.Check(err)
	agent := exec.Command(program, "run", "-c", file)
	agent.Dir = filepath.Dir(file)
	ts.Check(agent.Start())
	cfg, err := edgenode.Load(file, drivers)
	ts.Check(err)
	for end := time.Now().Add(30 * time.Second); ; {
		var info edgenode.SpoolInfo
		r, err := edgenode.OpenSpool(*cfg)
		if err == nil {
			info, err = r.Info()
			ts.Check(errors.Join(err, r.Close()))
		}
		if info.Waiting >= 3 {
			break
		}
		if time.Now().After(end) {
			ts.Fatalf("the spool does not fill: %+v, %v", info, err)
		}
	}
	ts.Check(agent.Process.Kill())
	_ = agent.Wait() // it was killed
}

// wantCode runs a program and wants an exit code: code 3 magneto-edge check -c x.
func wantCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N program [arg...]")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := err.(interface{ ExitCode() int })
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if args[0] != strconv.Itoa(got) {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}
