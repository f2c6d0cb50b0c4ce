package main

import (
	"os"
	"testing"

	"github.com/faeeb396/session/internal/redistest"
)

// asProgram makes this test binary the program itself: see runProgram.
const asProgram = "SESSIONDEMO_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(redistest.Run(m))
}
