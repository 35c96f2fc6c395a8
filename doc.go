// Package fenghuo is the root of the module. It holds no code of the program,
// only the tests that guard the house: who may import whom, which library
// lives where, how large things may grow.
//
// Fenghuo is an edge-first alert mesh. Every host runs one node, which
// collects the host's metrics, judges rules on the spot, takes in alerts from
// other systems, folds repeats into one and tells the people who must know.
//
// Start reading at docs/reading.md: the way of one alert through eight files.
// The program is cmd/fenghuo.
package fenghuo
