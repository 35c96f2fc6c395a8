package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// A State is a line of the sd_notify protocol.
type State string

// What a node tells its service manager. RELOADING must be followed by READY,
// or the manager takes the reload as failed.
const (
	Ready     State = daemon.SdNotifyReady
	Reloading State = daemon.SdNotifyReloading
	Stopping  State = daemon.SdNotifyStopping
	watchdog  State = daemon.SdNotifyWatchdog
)

// Options sets up a Notifier.
type Options struct {
	// Logger gets a line when the manager can't be reached. Nil: none is written.
	Logger *slog.Logger
	// Healthy is asked before each sign of life and says why there is none. A
	// node that is hung is restarted by its manager. It must return quickly; nil
	// means always healthy.
	Healthy func(ctx context.Context) error
	// Watchdog is how often the manager wants a sign of life; it gets one in
	// half that time. 0: what the environment says (WATCHDOG_USEC).
	Watchdog time.Duration
	// Send passes a message on and reports whether anybody listens. Nil: to the
	// socket of the environment (NOTIFY_SOCKET).
	Send func(message string) (bool, error)
}

// Notifier tells the service manager how the node is. Without one (no
// NOTIFY_SOCKET) it does nothing. Safe for concurrent use.
type Notifier struct {
	opts  Options
	every time.Duration
}

// NewNotifier reads the environment and fails if what it says makes no sense.
func NewNotifier(opts Options) (*Notifier, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Healthy == nil {
		opts.Healthy = func(context.Context) error { return nil }
	}
	if opts.Send == nil {
		opts.Send = func(message string) (bool, error) { return daemon.SdNotify(false, message) }
	}
	if opts.Watchdog < 0 {
		return nil, errors.New("service: Watchdog is negative")
	}
	if opts.Watchdog == 0 {
		d, err := daemon.SdWatchdogEnabled(false)
		if err != nil {
			return nil, fmt.Errorf("service: %w", err)
		}
		opts.Watchdog = d
	}
	return &Notifier{opts: opts, every: opts.Watchdog / 2}, nil
}

// Notify tells the manager a state, with a line for people that
// "systemctl status" shows; an empty one is left out.
func (n *Notifier) Notify(s State, status string) {
	message := string(s)
	if s == Reloading {
		message += monotonic()
	}
	if status != "" {
		message += "\nSTATUS=" + strings.Join(strings.Fields(status), " ") // one line
	}
	if _, err := n.opts.Send(message); err != nil {
		n.opts.Logger.Warn("service manager not reached", "state", string(s), "err", err)
	}
}

// Run gives the manager a sign of life while the node is healthy, until ctx
// ends. It returns at once where no watchdog is wanted.
func (n *Notifier) Run(ctx context.Context) error {
	if n.every <= 0 {
		return nil
	}
	tick := time.NewTicker(n.every)
	defer tick.Stop()
	for {
		n.beat(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (n *Notifier) beat(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, n.every)
	defer cancel()
	if err := n.opts.Healthy(ctx); err != nil {
		if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
			n.opts.Logger.Error("no sign of life for the service manager", "err", err)
		}
		return
	}
	n.Notify(watchdog, "")
}
