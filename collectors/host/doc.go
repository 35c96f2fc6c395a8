// Package host owns the metrics of this machine: it samples CPU, memory, disks, network, processes, services and the
// clock under the names, labels and units of node_exporter, so that rules and dashboards made for it work unchanged.
//
// Every collector has a deadline and runs at most once at a time. One that hangs (a dead mount, a stuck driver) is left
// alone until it returns: its node_scrape_collector_success is 0, its series get staleness markers, the others go on.
//
// On Linux the figures come from /proc and /sys, read directly where gopsutil lacks them or reads more than is needed.
// Elsewhere gopsutil gives the portable set: CPU, load, memory, file systems, disks, network, boot time, uname.
package host
