package main

import (
	"os"
	"testing"
)

// asProgram makes the test binary be the failoverd program, for the watchers and
// web servers of a stage.
const asProgram = "FAILOVERD_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}
