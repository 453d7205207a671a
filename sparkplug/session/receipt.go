package session

// The pace of acknowledgements: at most one a second and node, or one for so
// many messages.
const (
	ReceiptEvery    = 1000 // ms
	ReceiptMessages = 1000
)

// Receipt is what a host owes one edge node by way of acknowledgements. Its
// zero value owes nothing.
type Receipt struct {
	stored, told Position
	at           int64 // when it was told
}

// Stored notes that p, and all before it since the same birth, is stored for
// good.
func (r *Receipt) Stored(p Position) { r.stored = p }

// Owed says whether anything was stored since the last acknowledgement.
func (r *Receipt) Owed() bool { return r.stored != r.told && r.stored.Birth != 0 }

// Due returns the position to acknowledge now, and takes it as told; ok is
// false when nothing is due yet.
func (r *Receipt) Due(at int64) (p Position, ok bool) {
	if !r.Owed() {
		return Position{}, false
	}
	many := r.stored.Birth == r.told.Birth && r.stored.Count-r.told.Count >= ReceiptMessages
	if wait := at - r.at; wait >= 0 && wait < ReceiptEvery && !many {
		return Position{}, false
	}
	r.told, r.at = r.stored, at
	return r.stored, true
}
