package problem

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTable(t *testing.T) {
	table := append(Table{{Err: fs.ErrNotExist, Status: http.StatusGone}}, Default()...)
	for _, c := range []struct {
		err    error
		status int
		retry  string
	}{
		{Errorf(ErrNotFound, "no %s", "x"), 404, ""},
		{fmt.Errorf("wrapped: %w", Errorf(ErrInvalid, "%w", fs.ErrExist)), 400, ""},
		{fmt.Errorf("%w: x", fs.ErrNotExist), 410, ""},
		{ErrConflict, 409, ""},
		{ErrUnavailable, 503, "5"},
		{ErrRate, 429, "1"},
		{context.DeadlineExceeded, 503, "5"},
		{errors.New("odd"), 500, ""},
	} {
		w := httptest.NewRecorder()
		table.Write(w, c.err)
		require.Equal(t, c.status, w.Code, c.err)
		require.Equal(t, c.retry, w.Header().Get("Retry-After"))
		require.Equal(t, ContentType, w.Header().Get("Content-Type"))
	}
	err := Errorf(ErrInvalid, "cause: %w", fs.ErrExist)
	require.EqualError(t, err, "cause: file already exists")
	require.ErrorIs(t, err, fs.ErrExist)
}

func TestNotFound(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/", NotFound(mux))
	mux.HandleFunc("POST /a/{id}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("DELETE /a/{id}", func(http.ResponseWriter, *http.Request) {})
	ask := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w
	}
	require.Equal(t, 200, ask("POST", "/a/1").Code)
	w := ask("GET", "/a/1")
	require.Equal(t, 405, w.Code)
	require.Equal(t, "POST, DELETE", w.Header().Get("Allow"))
	require.Equal(t, 405, ask("BREW", "/a/1").Code)
	require.Equal(t, 404, ask("GET", "/b").Code)
	require.Equal(t, 404, ask("BREW", "/b").Code)
}
