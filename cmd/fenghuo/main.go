// Package main is the fenghuo program: one binary, all roles.
package main

import (
	"os"
	_ "time/tzdata" // zones of rules and sources, also where the host has none

	"github.com/fenghuo-mesh/fenghuo/cmd/fenghuo/command"
)

func main() {
	os.Exit(command.Main(os.Args[1:], os.Stdout, os.Stderr))
}
