package conform

import "github.com/magneto-iiot/magneto/sparkplug"

// state grades a STATE message of a host.
func (w *Watch) state(host string) {
	m := &w.now
	s, err := sparkplug.ParseState(m.Payload)
	why := ""
	if err != nil {
		why = err.Error()
	}
	w.judge(err == nil, why, "intro-sparkplug-host-state", "components-ph-state", "conformance-primary-host")
	if err != nil {
		w.judge(false, why, "host-topic-phid-birth-payload", "host-topic-phid-death-payload")
		return
	}
	if s.Online {
		w.judge(m.QoS == 1, "STATE birth not at QoS 1", "host-topic-phid-birth-qos", "operational-behavior-host-application-connect-birth-qos")
		w.judge(true, "", "host-topic-phid-birth-payload", "host-topic-phid-birth-topic",
			"message-flow-phid-sparkplug-state-publish-payload", "operational-behavior-host-application-connect-birth-payload",
			"operational-behavior-host-application-connect-birth-topic")
	} else {
		w.judge(m.QoS == 1, "STATE death not at QoS 1", "host-topic-phid-death-qos", "operational-behavior-host-application-death-qos")
		w.judge(true, "", "host-topic-phid-death-payload", "host-topic-phid-death-topic",
			"operational-behavior-host-application-death-payload", "operational-behavior-host-application-death-topic")
	}
	if len(w.hosts) < maxNodes {
		w.hosts[host] = s
	}
}
