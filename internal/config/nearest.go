package config

// Nearest returns the candidate that a person most likely meant by word: the
// one with the fewest edits, if those are few for its length. It is empty when
// none is near.
func Nearest(word string, candidates []string) string {
	best, edits := "", 1+max(1, len(word)/3)
	for _, c := range candidates {
		if d := distance(word, c, edits); d < edits {
			best, edits = c, d
		}
	}
	return best
}

// distance counts the insertions, removals, replacements and swaps of
// neighbours that make b of a, giving up at limit.
func distance(a, b string, limit int) int {
	if len(a) > 64 || len(b) > 64 || max(len(a), len(b))-min(len(a), len(b)) >= limit {
		return limit
	}
	var rows [3][65]int
	for j := range len(b) + 1 {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		row, above, two := &rows[i%3], &rows[(i+2)%3], &rows[(i+1)%3]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], two[j-2]+1)
			}
		}
	}
	return rows[len(a)%3][len(b)]
}
