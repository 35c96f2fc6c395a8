package lab_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/node"
	"github.com/fenghuo-mesh/fenghuo/node/config"
	"github.com/fenghuo-mesh/fenghuo/node/lab"
)

// stage is where a scenario is played.
type stage interface {
	call(method, path string, body []byte) ([]byte, error)
	down()
	up()
	kill()
	answer(name string, status int)
	told() []lab.Told
}

func scenarios(t *testing.T) []*lab.Scenario {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var out []*lab.Scenario
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		s, err := lab.ParseScenario(strings.TrimSuffix(filepath.Base(f), ".txt"), string(b))
		require.NoError(t, err)
		out = append(out, s)
	}
	return out
}

// play carries out the events at their times.
func play(t *testing.T, s *lab.Scenario, st stage) {
	t.Helper()
	began := time.Now()
	silences := map[string]string{}
	for _, e := range s.Events {
		<-time.After(time.Until(began.Add(e.At)))
		var err error
		var b []byte
		switch e.Verb {
		case "fire":
			_, err = st.call(http.MethodPost, "/api/v2/alerts", lab.AlertBody(lab.Labels(e.Args), time.Now(), time.Hour))
		case "resolve":
			_, err = st.call(http.MethodPost, "/api/v2/alerts", lab.AlertBody(lab.Labels(e.Args), time.Now(), 0))
		case "hold":
			var holds time.Duration
			holds, err = time.ParseDuration(e.Args[0])
			require.NoError(t, err)
			_, err = st.call(http.MethodPost, "/api/v2/alerts", lab.AlertBody(lab.Labels(e.Args[1:]), time.Now(), holds))
		case "silence":
			b, err = st.call(http.MethodPost, "/api/v2/silences", lab.SilenceBody(lab.Labels(e.Args[1:]), time.Now()))
			var id struct {
				SilenceID string `json:"silenceID"`
			}
			if err == nil {
				err = json.Unmarshal(b, &id)
			}
			silences[e.Args[0]] = id.SilenceID
		case "unsilence":
			_, err = st.call(http.MethodDelete, "/api/v2/silence/"+silences[e.Args[0]], nil)
		case "restart":
			st.down()
			st.up()
		case "kill":
			st.kill()
		case "down":
			st.down()
		case "up":
			st.up()
		case "answer":
			var status int
			status, err = lab.ParseMood(e.Args[0])
			st.answer(strings.Join(e.Args[1:], ""), status)
		case "end":
			return
		default:
			t.Fatalf("%s: unknown verb %q", s.Name, e.Verb)
		}
		require.NoError(t, err, "%v %s", e.At, e.Verb)
	}
}

// inProcess is a node in this process, in virtual time.
type inProcess struct {
	t     *testing.T
	conf  *config.Config
	node  *node.Node
	began time.Time

	mu   sync.Mutex // guards all following
	mood lab.Mood
	gone chan struct{} // closed when the node that now runs has been killed
	list []lab.Told
}

func newInProcess(t *testing.T, s *lab.Scenario) *inProcess {
	dir := t.TempDir()
	p := &inProcess{t: t, conf: config.Default(), began: time.Now(), mood: lab.Mood{}, gone: make(chan struct{})}
	am := filepath.Join(dir, "alertmanager.yml")
	require.NoError(t, os.WriteFile(am, []byte(strings.ReplaceAll(s.Config, "URL", "http://receiver.test")), 0o600))
	c := p.conf
	c.Node.Name, c.Node.DataDir, c.HTTP.Listen, c.Host.Enabled, c.Alertmanager.ConfigFile = "n1", filepath.Join(dir, "data"), "", false, am
	c.Disk.MinFree, c.Journal.SegmentSize = 16<<20, 1<<20
	p.up()
	return p
}

func (p *inProcess) up() {
	n, err := node.New(node.Options{Config: p.conf, Transport: p, Out: io.Discard})
	require.NoError(p.t, err)
	require.NoError(p.t, n.Start(context.Background()))
	p.node = n
}

func (p *inProcess) down() {
	require.NoError(p.t, p.node.Stop(context.Background()))
}

// kill goes on with what the disk held at this moment.
func (p *inProcess) kill() {
	synctest.Wait()
	next := p.t.TempDir()
	require.NoError(p.t, lab.CopyData(p.conf.Node.DataDir, next))
	p.mu.Lock()
	close(p.gone) // what it sends while it is stopped is lost
	p.mu.Unlock()
	p.down()
	p.mu.Lock()
	p.gone = make(chan struct{})
	p.mu.Unlock()
	c := *p.conf
	c.Node.DataDir, p.conf = next, &c
	p.up()
}

func (p *inProcess) answer(name string, status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mood[name] = status
}

func (p *inProcess) told() []lab.Told {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]lab.Told{}, p.list...)
}

func (p *inProcess) call(method, path string, body []byte) ([]byte, error) {
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	p.node.Handler().ServeHTTP(w, r)
	if w.Code/100 != 2 {
		return nil, fmt.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	return w.Body.Bytes(), nil
}

// RoundTrip is the receiver.
func (p *inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	var n lab.Notice
	if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
		return nil, err
	}
	p.mu.Lock()
	status, gone := p.mood.Of(r.URL.Path), p.gone
	dead := false
	select {
	case <-gone:
		dead = true
	default:
	}
	if !dead && (status/100 == 2 || status == lab.Hang) {
		p.list = append(p.list, lab.Told{At: time.Since(p.began), Text: lab.Describe(&n)})
	}
	p.mu.Unlock()
	switch {
	case dead:
		return nil, context.Canceled
	case status < 0:
		select {
		case <-r.Context().Done():
		case <-gone:
		}
		return nil, context.Canceled
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

func TestScenariosInProcess(t *testing.T) {
	for _, s := range scenarios(t) {
		t.Run(s.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newInProcess(t, s)
				play(t, s, st)
				st.down()
				if d := s.Difference(st.told(), 50*time.Millisecond); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

// binary is a real process, in real time.
type binary struct {
	t     *testing.T
	bin   string
	args  []string
	hook  *lab.Receiver
	proc  *lab.Process
	began time.Time
}

func (b *binary) up()   { b.proc = lab.Start(b.t, b.bin, b.args...) }
func (b *binary) down() { b.proc.Kill() }

func (b *binary) kill() {
	b.down()
	b.up()
}

func (b *binary) answer(name string, status int) { b.hook.Answer(name, status) }

func (b *binary) call(method, path string, body []byte) ([]byte, error) {
	return b.proc.Call(method, path, body)
}

func (b *binary) told() []lab.Told {
	var out []lab.Told
	for _, n := range b.hook.Notices() {
		out = append(out, lab.Told{At: n.At.Sub(b.began), Text: lab.Describe(&n)})
	}
	return out
}

func TestScenariosBinary(t *testing.T) {
	if testing.Short() {
		t.Skip("real time: not with -short")
	}
	bin := lab.Build(t)
	for _, s := range scenarios(t) {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			b := &binary{t: t, bin: bin, hook: lab.NewReceiver(t)}
			dir := t.TempDir()
			am, conf := filepath.Join(dir, "alertmanager.yml"), filepath.Join(dir, "fenghuo.yml")
			require.NoError(t, os.WriteFile(am, []byte(strings.ReplaceAll(s.Config, "URL", b.hook.URL)), 0o600))
			require.NoError(t, os.WriteFile(conf, []byte("host: {enabled: false}\n"), 0o600))
			b.args = []string{"--config", conf, "--data", filepath.Join(dir, "data"), "--alertmanager-config", am, "--name", "n1"}
			b.up()
			b.began = time.Now()
			play(t, s, b)
			b.down()
			// A loaded machine is late; what is told and in which order isn't.
			if d := s.Difference(b.told(), 900*time.Millisecond); d != "" {
				t.Error(d)
			}
		})
	}
}
