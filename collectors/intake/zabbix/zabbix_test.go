package zabbix

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/document"
)

func packed(t *testing.T, body []byte, claimed uint32) []byte {
	t.Helper()
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, err := w.Write(body)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	frame := append([]byte(frameMagic), flagProtocol|flagCompressed)
	frame = binary.LittleEndian.AppendUint32(frame, uint32(z.Len()))
	frame = binary.LittleEndian.AppendUint32(frame, claimed)
	return append(frame, z.Bytes()...)
}

func TestCompressedFrames(t *testing.T) {
	body := []byte(`{"request":"sender data","data":[{"host":"h","key":"alert[x]","value":"PROBLEM: y"}]}`)
	res, err := Sender{}.Decode(intake.Request{Body: packed(t, body, uint32(len(body))), ReceivedAt: time.Unix(1795144530, 0)})
	require.NoError(t, err)
	require.Len(t, res.Events, 1)
	bomb := bytes.Repeat([]byte(" "), MaxUnpacked+10)
	_, err = Sender{}.Decode(intake.Request{Body: packed(t, bomb, 10)})
	require.ErrorIs(t, err, document.ErrLimit, "what the frame claims isn't believed")
}

func TestFrameLimits(t *testing.T) {
	frame := Pack([]byte(`{}`))
	got, err := Frame(bufio.NewReader(bytes.NewReader(frame)), 2)
	require.NoError(t, err)
	require.Equal(t, frame, got)
	_, err = Frame(bufio.NewReader(bytes.NewReader(frame)), 1)
	require.ErrorIs(t, err, document.ErrLimit)
	for n := range frame {
		_, err = Frame(bufio.NewReader(bytes.NewReader(frame[:n])), 100)
		if n == 0 {
			require.ErrorIs(t, err, io.EOF)
		} else {
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		}
	}
	_, err = Frame(bufio.NewReader(bytes.NewReader([]byte("GET / HTTP/1.1\r\n\r\n"))), 100)
	require.ErrorIs(t, err, intake.ErrContent)
	_, err = Frame(bufio.NewReader(bytes.NewReader([]byte("GET"))), 100)
	require.ErrorIs(t, err, intake.ErrContent)
}

func TestAlertKey(t *testing.T) {
	for key, want := range map[string][2]string{
		"alert[a]": {"a", ""}, "alert[a,b]": {"a", "b"}, " alert[ a , b ] ": {"a", "b"}, `alert["x,y","high"]`: {"x,y", "high"},
		`alert["x"]`: {"x", ""}, "alert[a,b,c]": {"a", "b,c"},
	} {
		name, severity, ok := alertKey(key)
		require.True(t, ok, key)
		require.Equal(t, want, [2]string{name, severity}, key)
	}
	for _, key := range []string{"", "alert", "alert[]", "alert[,high]", `alert["x]`, "system.cpu[a]", "alert[a"} {
		_, _, ok := alertKey(key)
		require.False(t, ok, key)
	}
}

func TestVerbs(t *testing.T) {
	for action, want := range map[string]string{
		"acknowledged, commented": "acknowledge", "unacknowledged": "unacknowledge", "commented": "comment", "closed": "close",
		"changed severity from Warning to High": "severity", "suppressed until 2026": "suppress", "unsuppressed": "unsuppress", "": "update", "else": "else",
	} {
		require.Equal(t, want, verb(action), action)
	}
}

func FuzzFrame(f *testing.F) {
	for _, name := range []string{"json_value", "two_values"} {
		frame, err := os.ReadFile("testdata/zabbix_sender/" + name + ".raw")
		require.NoError(f, err)
		f.Add(frame)
	}
	f.Add([]byte("ZBXD\x03\x02\x00\x00\x00\xff\xff\xff\xff{}"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := bufio.NewReader(bytes.NewReader(stream))
		for {
			frame, err := Frame(r, 1<<10)
			if err != nil {
				require.False(t, errors.Is(err, io.EOF) && r.Buffered() > 0)
				return
			}
			require.LessOrEqual(t, len(frame), 1<<10+frameHeader)
			_, _ = Sender{}.Decode(intake.Request{Body: frame, ReceivedAt: time.Unix(1795144530, 0)})
		}
	})
}
