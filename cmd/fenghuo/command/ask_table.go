package command

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// maxCell is the width of a cell in a table that isn't wide.
const maxCell = 60

// table lines up cells by their width on a terminal.
type table struct {
	head []string
	rows [][]string
	wide bool // cells aren't shortened
}

// add appends a row. What comes from outside is made harmless: control
// characters could rewrite the terminal.
func (t *table) add(cells ...string) {
	for i, c := range cells {
		c = printable(c)
		if !t.wide {
			c = cut(c, maxCell)
		}
		if c == "" {
			c = "-"
		}
		cells[i] = c
	}
	t.rows = append(t.rows, cells)
}

// print writes the table.
func (t *table) print(w io.Writer) error {
	widths := make([]int, len(t.head))
	all := append([][]string{t.head}, t.rows...)
	for _, row := range all {
		for i, c := range row {
			widths[i] = max(widths[i], width(c))
		}
	}
	for _, row := range all {
		var b strings.Builder
		for i, c := range row {
			b.WriteString(c)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-width(c)+2))
			}
		}
		if _, err := fmt.Fprintln(w, b.String()); err != nil {
			return err
		}
	}
	return nil
}

// fields writes names and values below each other, without the empty ones.
func fields(w io.Writer, pairs ...string) error {
	longest := 0
	for i := 0; i < len(pairs); i += 2 {
		longest = max(longest, width(pairs[i]))
	}
	for i := 0; i < len(pairs); i += 2 {
		name, value := pairs[i], printable(pairs[i+1])
		if value == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%s:%s%s\n", name, strings.Repeat(" ", longest-width(name)+1), value); err != nil {
			return err
		}
	}
	return nil
}

// printable replaces what would move the cursor or change its colour, or turn
// the direction of text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) && r != '\u200d':
			return '\ufffd'
		}
		return r
	}, s)
}

// cut shortens a text to a width.
func cut(s string, most int) string {
	if width(s) <= most {
		return s
	}
	w := 0
	for i, r := range s {
		if w += runeWidth(r); w > most-1 {
			return s[:i] + "…"
		}
	}
	return s
}

// width is how many columns a text takes on a terminal.
func width(s string) int {
	w := 0
	for _, r := range s {
		w += runeWidth(r)
	}
	return w
}

// runeWidth is 2 for the characters of East Asia and pictures, 0 for what
// combines with the character before.
func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me) || r == '\u200d':
		return 0
	case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana, unicode.Bopomofo, unicode.Yi),
		r >= 0x3000 && r <= 0x303e,                             // punctuation of Chinese and Japanese
		r >= 0xff01 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, // full-width forms
		r >= 0x1f300 && r <= 0x1faff: // pictures
		return 2
	}
	return 1
}
