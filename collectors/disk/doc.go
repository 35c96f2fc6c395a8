// Package disk owns two questions to the operating system that everything which
// writes files asks: how much room there is, and whether a write failed for want
// of it. It has Free and Full, one file for each kind of system.
package disk
