// Package evaluate owns the rules of this host at work: it evaluates them over
// the host's samples on a schedule, and reports the complete set of firing
// alerts of each group.
//
// Prometheus rule files load unchanged (see rulefile for what Fenghuo adds) and
// behave as there (see aggregate/rule for the life of an alert).
//
// Reading is apart from living: rulefile.Load does everything that can fail and
// gives a Set; Manager.Apply swaps it in. What is the same as before goes on
// undisturbed, what has changed keeps the state of the rules that are alike in
// name and labels.
//
// Inside a group rules run one after another, each seeing what the one before
// has recorded. Groups run side by side, at most Options.Concurrency at a time.
// A rule that fails keeps the alerts it has, and says so in its health, in the
// metrics and in the log: failing to look is no evidence that all is well.
package evaluate
