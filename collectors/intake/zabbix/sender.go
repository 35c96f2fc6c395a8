package zabbix

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/document"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/draft"
)

// The frame of Zabbix's protocols: "ZBXD", flags, length and a reserved field
// (the unpacked length where compressed), both little endian.
const (
	frameMagic      = "ZBXD"
	frameHeader     = len(frameMagic) + 1 + 4 + 4
	flagProtocol    = 0x01
	flagCompressed  = 0x02
	frameFieldBytes = 4
)

// MaxUnpacked bounds a compressed frame once unpacked.
const MaxUnpacked = 8 << 20

// Sender decodes frames of the sender protocol. A value becomes an alert where
// its key is alert[name,severity]; values of other keys count as failed. The
// value is a text, "PROBLEM: what happened" or "OK: what happened", or JSON
// with status, severity, summary, service, error_code, labels.
type Sender struct{}

// Frame reads one frame off a stream, header included; it is an
// intake.FrameFunc.
func Frame(r *bufio.Reader, limit int) ([]byte, error) {
	head, err := r.Peek(frameHeader)
	if err != nil {
		if len(head) == 0 {
			return nil, io.EOF
		}
		if !bytes.HasPrefix([]byte(frameMagic), head[:min(len(head), len(frameMagic))]) && !bytes.HasPrefix(head, []byte(frameMagic)) {
			return nil, fmt.Errorf("frame: %w: it doesn't begin with ZBXD", intake.ErrContent)
		}
		return nil, fmt.Errorf("frame: %w", io.ErrUnexpectedEOF)
	}
	length, err := frameLength(head)
	if err != nil {
		return nil, err
	}
	if length > limit {
		return nil, fmt.Errorf("frame: %w: %d bytes, at most %d", document.ErrLimit, length, limit)
	}
	var frame bytes.Buffer
	if _, err := io.CopyN(&frame, r, int64(frameHeader+length)); err != nil {
		return nil, fmt.Errorf("frame: %w", io.ErrUnexpectedEOF)
	}
	return frame.Bytes(), nil
}

func frameLength(head []byte) (int, error) {
	if !bytes.HasPrefix(head, []byte(frameMagic)) {
		return 0, fmt.Errorf("frame: %w: it doesn't begin with ZBXD", intake.ErrContent)
	}
	flags := head[len(frameMagic)]
	if flags&flagProtocol == 0 || flags&^(flagProtocol|flagCompressed) != 0 {
		return 0, fmt.Errorf("frame: %w: flags %#02x; 0x01 and 0x03 are understood", intake.ErrContent, flags)
	}
	n := binary.LittleEndian.Uint32(head[len(frameMagic)+1:])
	return int(min(n, 1<<31-1)), nil
}

// payload takes the JSON out of a frame; a body without frame is taken as it
// is, so that JSON alone can be decoded too.
func payload(body []byte) ([]byte, error) {
	if trimmed := bytes.TrimSpace(body); len(trimmed) > 0 && trimmed[0] == '{' {
		return trimmed, nil
	}
	if len(body) < frameHeader {
		return nil, fmt.Errorf("frame: %w: %d bytes are less than a header", intake.ErrContent, len(body))
	}
	length, err := frameLength(body)
	if err != nil {
		return nil, err
	}
	data := body[frameHeader:]
	if len(data) != length {
		return nil, fmt.Errorf("frame: %w: %d bytes announced, %d there", intake.ErrContent, length, len(data))
	}
	if body[len(frameMagic)]&flagCompressed == 0 {
		return data, nil
	}
	unpacked := binary.LittleEndian.Uint32(body[len(frameMagic)+1+frameFieldBytes:])
	if unpacked > MaxUnpacked {
		return nil, fmt.Errorf("frame: %w: %d bytes unpacked, at most %d", document.ErrLimit, unpacked, MaxUnpacked)
	}
	z, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("frame: %w: %w", intake.ErrContent, err)
	}
	out, err := io.ReadAll(io.LimitReader(z, MaxUnpacked+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("frame: %w: %w", intake.ErrContent, err)
	case len(out) > MaxUnpacked:
		return nil, fmt.Errorf("frame: %w: more than %d bytes unpacked", document.ErrLimit, MaxUnpacked)
	}
	return out, nil
}

// Decode implements intake.Decoder.
func (Sender) Decode(r intake.Request) (intake.Result, error) {
	body, err := payload(r.Body)
	if err != nil {
		return intake.Result{}, err
	}
	doc, err := document.Parse(body, document.Limits{})
	if err != nil {
		return intake.Result{}, err
	}
	var read document.Reader
	kind := read.Text(read.Required(doc).Get("request"))
	data := read.Array(doc.Get("data"))
	if read.Err != nil {
		return intake.Result{}, read.Err
	}
	if kind != "sender data" && kind != "agent data" {
		return intake.Result{}, fmt.Errorf("request: %w: want \"sender data\", got %.40q", intake.ErrContent, kind)
	}
	if data.Len() > intake.MaxAlerts {
		return intake.Result{}, fmt.Errorf("data: %w: %d, at most %d", intake.ErrTooMany, data.Len(), intake.MaxAlerts)
	}
	var res intake.Result
	batch := clock(doc, r.ReceivedAt)
	for i, v := range data.Items() {
		read.Required(v)
		host, key := read.Text(v.Get("host")), read.Text(v.Get("key"))
		name, severity, ok := alertKey(key)
		value := v.Get("value")
		if read.Err != nil {
			return intake.Result{}, read.Err
		}
		if !ok || host == "" {
			res.Failed++
			continue
		}
		e, err := sent(host, name, severity, value, clock(v, batch))
		if err != nil {
			res.Rejected = append(res.Rejected, intake.Rejection{Index: i, Err: fmt.Errorf("%s: %w", v.Path(), err)})
			continue
		}
		res.Events = append(res.Events, e)
	}
	return res, nil
}

// clock reads clock and ns; where there are none, or they make no sense, it is
// otherwise.
func clock(v *document.Value, otherwise time.Time) time.Time {
	secs, ok := v.Get("clock").Int()
	if !ok || secs <= 0 || secs > 1<<33 {
		return otherwise
	}
	nanos, ok := v.Get("ns").Int()
	if !ok || nanos < 0 || nanos >= 1e9 {
		nanos = 0
	}
	return time.Unix(secs, nanos).UTC()
}

// alertKey reads alert[name,severity] or alert[name]. Parameters may be
// quoted, as in Zabbix's item keys.
func alertKey(key string) (name, severity string, ok bool) {
	inner, ok := strings.CutPrefix(strings.TrimSpace(key), "alert[")
	if !ok || !strings.HasSuffix(inner, "]") {
		return "", "", false
	}
	inner = inner[:len(inner)-1]
	if strings.HasPrefix(inner, `"`) {
		end := strings.Index(inner[1:], `"`)
		if end < 0 {
			return "", "", false
		}
		name, inner = inner[1:1+end], strings.TrimPrefix(strings.TrimSpace(inner[end+2:]), ",")
		severity = strings.Trim(strings.TrimSpace(inner), `"`)
	} else {
		name, severity, _ = strings.Cut(inner, ",")
		name, severity = strings.TrimSpace(name), strings.Trim(strings.TrimSpace(severity), `"`)
	}
	return name, severity, name != ""
}

// sent makes an alert of one value.
func sent(host, name, severity string, value *document.Value, at time.Time) (intake.Event, error) {
	d := draft.Draft{Extra: alert.Extra{Name: name, Resource: host, SeverityRaw: severity, DedupeKey: "zabbix_sender:" + host + ":" + name}}
	d.Label("host", host)
	text := strings.TrimSpace(value.Scalar())
	if value.Kind() == document.Object {
		structured(&d, value)
	} else if doc, err := document.ParseText(text, document.Limits{Depth: 8, Values: 1000}); err == nil && doc.Kind() == document.Object {
		structured(&d, doc)
	} else {
		word, rest, marked := strings.Cut(text, ":")
		if resolved, known := status(word); known {
			d.Resolved = resolved
			if marked {
				text = strings.TrimSpace(rest)
			} else {
				text = ""
			}
		}
		d.Extra.Summary, d.Extra.ErrorCode = text, draft.Code(text)
	}
	if digits(d.Extra.SeverityRaw) {
		d.Priority = priority(d.Extra.SeverityRaw, "")
	}
	if d.Resolved {
		d.EndsAt = at
	} else {
		d.StartsAt = at
	}
	return d.Event()
}

// structured reads a value that is JSON.
func structured(d *draft.Draft, v *document.Value) {
	word := v.First("status", "state").Scalar()
	d.Resolved, _ = status(word)
	d.Extra.SeverityRaw = draft.First(v.First("severity", "level").Scalar(), d.Extra.SeverityRaw)
	d.Extra.Summary = v.First("summary", "title", "description", "message", "msg").Scalar()
	d.Extra.Description = v.Get("description").Scalar()
	d.Extra.Service = v.First("service", "app").Scalar()
	d.Extra.ErrorCode = v.First("error_code", "code").Scalar()
	d.Extra.ExternalURL = v.First("url", "external_url").Scalar()
	for n, l := range v.Get("labels").Members() {
		d.Label(n, l.Scalar())
	}
}

// status reads a word for the state of a problem.
func status(word string) (resolved, known bool) {
	switch strings.ToUpper(strings.TrimSpace(word)) {
	case "OK", "RESOLVED", "RECOVERY", "RECOVERED", "0":
		return true, true
	case "PROBLEM", "FIRING", "ALERT", "CRITICAL", "1":
		return false, true
	}
	return false, false
}

// Reply implements intake.Replier: the answer of Zabbix's trapper, in its
// frame.
func (Sender) Reply(_ intake.Request, res intake.Result, out intake.Outcome) (intake.Response, bool) {
	answer := map[string]string{"response": "failed"}
	if out.Err == nil {
		failed := res.Failed + len(out.Rejected)
		processed := out.Accepted + out.Filtered
		answer["response"] = "success"
		answer["info"] = fmt.Sprintf("processed: %d; failed: %d; total: %d; seconds spent: %.6f",
			processed, failed, processed+failed, out.Took.Seconds())
	} else {
		answer["info"] = draft.Cut(out.Err.Error(), 512)
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return intake.Response{}, false
	}
	return intake.Response{Status: out.Status, ContentType: "application/octet-stream", Body: Pack(body)}, true
}

// Pack puts a body into an uncompressed frame.
func Pack(body []byte) []byte {
	frame := make([]byte, 0, frameHeader+len(body))
	frame = append(frame, frameMagic...)
	frame = append(frame, flagProtocol)
	frame = binary.LittleEndian.AppendUint32(frame, uint32(len(body)))
	frame = binary.LittleEndian.AppendUint32(frame, 0)
	return append(frame, body...)
}

var _ intake.Replier = Sender{}
