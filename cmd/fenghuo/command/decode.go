package command

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenghuo-mesh/fenghuo/node"
)

// maxDecodeBytes bounds a recorded body.
const maxDecodeBytes = 64 << 20

func newDecodeCommand() *cobra.Command {
	o := node.DecodeOptions{}
	cmd := &cobra.Command{
		Use:   "decode SOURCE FILE",
		Short: "Show what a sender's request means",
		Long: `Decode reads a request body that a monitoring system sent, as POST /v1/ingest/SOURCE would,
and prints the alerts it means as JSON. FILE "-" is standard input; for syslog and the
Zabbix sender protocol it holds what comes over the wire. Nothing is sent or stored.

Exit codes: 0 decoded, 1 the body means nothing (the reason is printed), 2 usage.

Sources: ` + strings.Join(node.DecodeSources(), ", "),
		Example: `  fenghuo decode alertmanager body.json
  fenghuo decode elastalert2 match.json --query 'rule=oom-killer&severity=critical'
  fenghuo decode generic body.json --mapping mapping.yml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("%w: SOURCE and FILE are wanted", errUsage)
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return node.DecodeSources(), cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Source, o.Now = args[0], time.Now()
			var err error
			if o.Body, err = readInput(cmd.InOrStdin(), args[1]); err != nil {
				return err
			}
			if o.MappingName != "" {
				if o.Mapping, err = readInput(nil, o.MappingName); err != nil {
					return err
				}
			}
			if err := node.Decode(cmd.OutOrStdout(), o); err != nil {
				if node.IsDecodeOption(err) {
					return fmt.Errorf("%w: %w", errUsage, err)
				}
				return err
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.Headers, "header", nil, "a header, `Name=Value`; may be repeated")
	f.StringVar(&o.ContentType, "content-type", "", "the body's media `type`")
	f.StringVar(&o.Query, "query", "", "the URL's `query`, name=value&name=value")
	f.StringVar(&o.ReceivedAt, "received-at", "", "the `time` the request counts as received, RFC 3339 (default now)")
	f.StringVar(&o.Zone, "tz", "", "the `zone` of times without one (default the source's own, Asia/Shanghai)")
	f.StringVar(&o.Peer, "peer", "", "the sender's `address`")
	f.StringVar(&o.Method, "method", "", "the HTTP `method`, or UDP or TCP (default POST)")
	f.StringVar(&o.MappingName, "mapping", "", "a mapping `file`, for source generic")
	return cmd
}

// readInput reads a file, or in where the name is "-".
func readInput(in io.Reader, name string) ([]byte, error) {
	if name == "-" && in != nil {
		return readBounded(in, name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	defer func() { _ = f.Close() }() // only read
	return readBounded(f, name)
}

func readBounded(r io.Reader, name string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxDecodeBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	case len(b) > maxDecodeBytes:
		return nil, fmt.Errorf("%s: more than %d bytes", name, maxDecodeBytes)
	}
	return b, nil
}
