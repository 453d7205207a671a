// Package magneto is the root of the Magneto module: an industrial
// edge-to-cloud framework around MQTT Sparkplug B. It holds no code; start at
// the packages sparkplug, edgenode and hostapp, or at the programs in cmd.
package magneto
