package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/node/config"
)

func TestNeedRestart(t *testing.T) {
	old, now := config.Default(), config.Default()
	require.Empty(t, config.NeedRestart(old, now))
	now.HTTP.Listen = "127.0.0.1:1"
	now.Log.Level = "debug" // applied on reload
	require.Equal(t, []string{"http"}, config.NeedRestart(old, now))
}

func TestRedactedHidesSecrets(t *testing.T) {
	c, err := config.Parse("f.yml", []byte("intake: {sources: [{name: a, type: grafana, token: hunter2hunter2}]}\n"))
	require.NoError(t, err)
	text, err := c.Redacted()
	require.NoError(t, err)
	require.NotContains(t, text, "hunter2hunter2")
	require.Contains(t, text, "grafana")
	_, err = config.Parse("again.yml", []byte(text))
	require.ErrorContains(t, err, "stands for a secret", "all else of what is shown can be read")
}
