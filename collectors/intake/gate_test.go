package intake_test

import (
	"bytes"
	"io"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/catalog"
)

// TestLargeBodiesWaitForTheirTurn sends one large body that stalls: another
// waits in vain, a small one passes, and when the first ends the next may go.
func TestLargeBodiesWaitForTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := intake.New(intake.Options{Sources: catalog.Sources(), Sink: &sink{}, MaxLarge: 1})
		require.NoError(t, err)
		require.NoError(t, h.Apply([]intake.Integration{{Name: "am", Source: "alertmanager", Key: "k"}}))
		post := func(body io.Reader) int {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("POST", "/v1/ingest/alertmanager/k", body))
			return w.Code
		}
		large := append(bytes.Repeat([]byte(" "), 512<<10), oneAlert...)
		r, w := io.Pipe()
		first := make(chan int)
		go func() { first <- post(r) }()
		_, err = w.Write(large[:400<<10])
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, 503, post(bytes.NewReader(large)))
		require.Equal(t, 200, post(bytes.NewReader([]byte(oneAlert))))
		_, err = w.Write(large[400<<10:])
		require.NoError(t, err)
		require.NoError(t, w.Close())
		require.Equal(t, 200, <-first)
		require.Equal(t, 200, post(bytes.NewReader(large)))
	})
}
