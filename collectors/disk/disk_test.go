package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFree(t *testing.T) {
	free, err := Free(t.TempDir())
	require.NoError(t, err)
	require.Positive(t, free)
	if runtime.GOOS == "linux" || runtime.GOOS == "darwin" || runtime.GOOS == "windows" {
		_, err = Free(filepath.Join(t.TempDir(), "none"))
		require.ErrorIs(t, err, os.ErrNotExist)
	}
}

func TestFull(t *testing.T) {
	require.False(t, Full(nil))
	require.False(t, Full(errors.New("broken")))
	if runtime.GOOS == "linux" || runtime.GOOS == "darwin" {
		require.True(t, Full(fmt.Errorf("writing: %w", &os.PathError{Op: "write", Err: syscall.ENOSPC})))
		require.True(t, Full(syscall.EDQUOT))
		require.False(t, Full(syscall.EIO))
	}
}
