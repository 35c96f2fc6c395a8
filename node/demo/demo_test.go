package demo_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/node/demo"
)

func TestPrintsNotification(t *testing.T) {
	var out bytes.Buffer
	h := &demo.Receiver{W: &out}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"status":"firing","receiver":"demo",
		"notification_reason":"first notification","alerts":[{"status":"firing","labels":{"alertname":"DiskFull",
		"severity":"critical","instance":"db1"},"annotations":{"summary":"磁盘 95 %"}}]}`)))
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, out.String(), "FIRING")
	require.Contains(t, out.String(), "DiskFull db1  磁盘 95 %")
}

func TestRefusesOtherBodies(t *testing.T) {
	h := &demo.Receiver{W: new(bytes.Buffer)}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`[`)))
	require.Equal(t, http.StatusBadRequest, w.Code)
}
