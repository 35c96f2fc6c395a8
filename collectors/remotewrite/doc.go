// Package remotewrite owns the receiver of Prometheus's remote write protocol, versions 1 and 2: it turns pushed requests
// into samples for the host's store.
//
// Float samples are stored. Native histograms and exemplars are counted and ignored; version 2's answer says that none of
// them was written. Metadata is kept for the metadata API.
//
// Whoever sends is not trusted. A request is decoded by hand, in one pass that checks all of it and a second that stores,
// so a malformed one changes nothing, and memory follows from the options, never from what a message claims to hold.
package remotewrite
