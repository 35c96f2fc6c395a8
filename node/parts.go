package node

import (
	v1 "github.com/fenghuo-mesh/fenghuo/node/api/v1"
)

// States of a part, as the API names them.
const (
	partOK       = "ok"
	partDegraded = "degraded"
)

// partsOf says how each part of a node is.
func partsOf(n *Node) []v1.Part {
	return []v1.Part{journalPart(n), historyPart(n), seriesPart(n), rulesPart(n), notifyPart(n)}
}

func part(name string, trouble string, numbers map[string]float64) v1.Part {
	p := v1.Part{Name: name, State: partOK, Detail: trouble, Numbers: numbers}
	if trouble != "" {
		p.State = partDegraded
	}
	return p
}

func journalPart(n *Node) v1.Part {
	s := n.journal.Stats()
	trouble := ""
	switch {
	case n.ledger.Gate.Reason() != nil:
		trouble = "new alerts are refused: " + n.ledger.Gate.Reason().Error()
	case s.Failed != nil:
		trouble = "the disk fails, new alerts are refused: " + s.Failed.Error()
	case s.Full != nil:
		trouble = "no room, new alerts are refused once the present segment is full: " + s.Full.Error()
	}
	return part("journal", trouble, map[string]float64{
		"segments": float64(s.Segments), "disk_bytes": float64(s.DiskBytes), "snapshot_bytes": float64(s.SnapshotBytes),
	})
}

func historyPart(n *Node) v1.Part {
	s := n.store.Stats()
	trouble := ""
	switch {
	case s.Absent != nil:
		trouble = "there is no history just now: " + s.Absent.Error()
	case s.Full:
		trouble = "nothing is added for want of disk space; it will be made good from the journal"
	case n.store.Rebuilt():
		trouble = "it could not be opened at the start, was moved aside and begun anew from the journal"
	}
	return part("history", trouble, map[string]float64{"chunks": float64(s.Chunks), "bytes": float64(s.Bytes), "gathered": float64(s.Gathered)})
}

func seriesPart(n *Node) v1.Part {
	s := n.samples.db.Status(0)
	trouble := ""
	if s.Full {
		trouble = "samples are refused for want of disk space"
	}
	return part("series", trouble, map[string]float64{
		"series": float64(s.HeadSeries), "blocks": float64(s.Blocks), "disk_bytes": float64(s.BlockBytes + s.HeadBytes),
	})
}

func rulesPart(n *Node) v1.Part {
	rules, failing := 0, 0
	first := ""
	for _, g := range n.samples.rules.Groups() {
		for i := range g.Rules {
			rules++
			if r := &g.Rules[i]; r.LastError != "" {
				failing++
				if first == "" {
					first = r.Name + ": " + r.LastError
				}
			}
		}
	}
	trouble := ""
	if failing > 0 {
		trouble = "rules fail, the first is " + first
	}
	return part("rules", trouble, map[string]float64{"rules": float64(rules), "failing": float64(failing)})
}

func notifyPart(n *Node) v1.Part {
	l := n.lead
	l.mu.Lock()
	defer l.mu.Unlock()
	size := l.planner.Size()
	trouble := ""
	if l.unwritten {
		trouble = "decisions of the time without disk are in memory only; a snapshot will be written when there is room"
	}
	return part("notify", trouble, map[string]float64{
		"groups": float64(size.ActiveGroups), "under_way": float64(size.UnderWay), "episodes_told": float64(size.Episodes),
	})
}
