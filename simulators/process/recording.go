package process

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Recording is recorded sensor data: a table of numbers with named columns.
type Recording struct {
	Columns []string
	Rows    [][]float32 // a cell that was empty is NaN
}

// labels are columns that judge the data and are no data themselves.
var labels = []string{"anomaly", "changepoint"}

// RowName is the name of the signal that counts the rows of a Replay; no column
// may have it.
const RowName = "Row"

// ReadCSV reads a recording. The first line names the columns; the delimiter is
// whichever of ; , and tab it holds most of. Columns that hold no numbers (a
// date, say) and the label columns anomaly and changepoint are left out, the
// others keep their order. Numbers have a decimal point. Errors name the line.
func ReadCSV(r io.Reader) (*Recording, error) {
	all, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("process: csv: %w", err)
	}
	text := strings.TrimPrefix(string(all), "\ufeff")
	head, _, _ := strings.Cut(text, "\n")

	c := csv.NewReader(strings.NewReader(text))
	c.Comma = delimiter(head)
	names, err := c.Read()
	if err != nil {
		return nil, csvError(err)
	}
	var cells [][]string
	var lines []int
	for {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, csvError(err)
		}
		line, _ := c.FieldPos(0)
		cells, lines = append(cells, row), append(lines, line)
	}
	if len(cells) == 0 {
		return nil, errors.New("process: csv: line 2: no rows after the header")
	}
	return table(names, cells, lines)
}

func csvError(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("process: csv: line 1: the file is empty; it needs a header line with column names")
	}
	if e, ok := errors.AsType[*csv.ParseError](err); ok {
		return fmt.Errorf("process: csv: line %d: %w", e.Line, e.Err)
	}
	return fmt.Errorf("process: csv: %w", err)
}

// delimiter is the most frequent candidate of the header line.
func delimiter(head string) rune {
	best, most := ',', 0
	for _, d := range ";,\t" {
		if n := strings.Count(head, string(d)); n > most {
			best, most = d, n
		}
	}
	return best
}

// table picks the numeric columns and parses them.
func table(names []string, cells [][]string, lines []int) (*Recording, error) {
	rec := &Recording{Rows: make([][]float32, len(cells))}
	for col, name := range names {
		name = strings.TrimSpace(name)
		if slices.Contains(labels, strings.ToLower(name)) || !numeric(cells, col) {
			continue
		}
		switch {
		case name == "":
			return nil, fmt.Errorf("process: csv: line 1: column %d has no name", col+1)
		case name == RowName || slices.Contains(rec.Columns, name):
			return nil, fmt.Errorf("process: csv: line 1: column %d: the name %q is taken", col+1, name)
		}
		rec.Columns = append(rec.Columns, name)
		for i, row := range cells {
			v, err := number(row[col])
			if err != nil {
				return nil, fmt.Errorf("process: csv: line %d: column %s: %q is not a number", lines[i], name, row[col])
			}
			rec.Rows[i] = append(rec.Rows[i], v)
		}
	}
	if len(rec.Columns) == 0 {
		return nil, errors.New("process: csv: line 2: no column holds numbers")
	}
	return rec, nil
}

// numeric says whether the first cell of a column that is not empty is a number.
func numeric(cells [][]string, col int) bool {
	for _, row := range cells {
		if s := strings.TrimSpace(row[col]); s != "" {
			_, err := number(s)
			return err == nil
		}
	}
	return false
}

// number parses a cell; numbers beyond float32 become infinite.
func number(s string) (float32, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return float32(math.NaN()), nil
	}
	v, err := strconv.ParseFloat(s, 32)
	if errors.Is(err, strconv.ErrRange) {
		err = nil
	}
	return float32(v), err
}
