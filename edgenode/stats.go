package edgenode

import "sync/atomic"

// Stats are counts since the agent was made.
type Stats struct {
	Scans        uint64 // groups of blocks read
	Overruns     uint64 // scans left out because the one before took too long
	Reads        uint64 // requests to equipment
	ReadErrors   uint64
	Reports      uint64 // values that were worth a report
	Published    uint64 // MQTT messages
	Births       uint64 // NBIRTHs
	Connects     uint64 // MQTT connections that were accepted
	Takeovers    uint64 // MQTT connections that another client with the same id ended
	Dials        uint64 // connections to equipment that were established
	Held         uint64 // reports that could not be sent at once
	Replayed     uint64 // reports that were sent from the spool
	Dropped      uint64 // reports that are lost: the spool was full, they were too old, or their metric is no more
	Unspooled    uint64 // reports that could not be kept, and were published all the same
	SpoolRecords uint64 // records in the spool that have not arrived: each holds what a scan of a device found
	Misacked     uint64 // acknowledgements of what was not sent
	Writes       uint64 // commands carried out
	Refused      uint64 // commands refused
}

type counters struct {
	scans, overruns, reads, readErrors, reports, published, births, connects,
	dials, held, replayed, dropped, unspooled, spooled, misacked, takeovers, writes, refused atomic.Uint64
}

func (c *counters) snapshot() Stats {
	return Stats{
		Scans: c.scans.Load(), Overruns: c.overruns.Load(), Reads: c.reads.Load(), ReadErrors: c.readErrors.Load(),
		Reports: c.reports.Load(), Published: c.published.Load(), Births: c.births.Load(), Connects: c.connects.Load(),
		Dials: c.dials.Load(), Held: c.held.Load(), Replayed: c.replayed.Load(), Dropped: c.dropped.Load(), Unspooled: c.unspooled.Load(), Misacked: c.misacked.Load(),
		Takeovers:    c.takeovers.Load(),
		SpoolRecords: c.spooled.Load(), Writes: c.writes.Load(), Refused: c.refused.Load(),
	}
}
