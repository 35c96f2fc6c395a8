package webhook_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/node/notify"
	"github.com/fenghuo-mesh/fenghuo/node/notify/webhook"
)

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		status int
		ok     bool
		retry  bool
	}{{200, true, false}, {204, true, false}, {400, false, false}, {404, false, false}, {429, false, true}, {500, false, true}, {503, false, true}, {302, false, false}} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			require.Contains(t, string(b), `"version":"4"`)
			require.Equal(t, "application/json", r.Header.Get("Content-Type"))
			require.Equal(t, "n1", r.Header.Get("Idempotency-Key"))
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, "because")
		}))
		retry, err := webhook.New(webhook.Options{URL: srv.URL + "/secret"}).Send(t.Context(), &notify.Message{ID: "n1"})
		srv.Close()
		require.Equal(t, c.ok, err == nil, "%d", c.status)
		require.Equal(t, c.retry, retry, "%d", c.status)
		if err != nil && c.status != 204 {
			require.NotContains(t, err.Error(), "secret")
		}
	}
}

func TestConnectionErrorHidesTheAddress(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	retry, err := webhook.New(webhook.Options{URL: srv.URL + "/secret"}).Send(t.Context(), &notify.Message{})
	require.Error(t, err)
	require.NotErrorIs(t, err, notify.ErrUnanswered, "nobody was reached")
	require.True(t, retry)
	require.NotContains(t, err.Error(), "secret")
}

func TestTimeoutAndURLFile(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer srv.Close()
	defer close(release)
	file := filepath.Join(t.TempDir(), "url")
	require.NoError(t, os.WriteFile(file, []byte(srv.URL+"\n"), 0o600))
	retry, err := webhook.New(webhook.Options{URLFile: file, Timeout: 20 * time.Millisecond}).Send(t.Context(), &notify.Message{})
	require.ErrorContains(t, err, "webhook timeout of 20ms")
	require.ErrorIs(t, err, notify.ErrUnanswered)
	require.True(t, retry)
	_, err = webhook.New(webhook.Options{URLFile: file + ".gone"}).Send(t.Context(), &notify.Message{})
	require.ErrorIs(t, err, os.ErrNotExist)
}
