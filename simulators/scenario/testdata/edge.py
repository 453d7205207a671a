"""An edge node of mqtt-spb-wrapper (PyPI). A line on stdin is a new Level."""
import sys
from mqtt_spb_wrapper import MqttSpbEntityEdgeNode

host, port = sys.argv[1].split(":")
# its own answer to a rebirth request is broken in this version: it calls True
node = MqttSpbEntityEdgeNode("Python", "Edge", include_spb_rebirth=False)


def say(text):
    print(text, flush=True)


def command(payload):
    for metric in payload["metrics"]:
        say("command %s %s" % (metric["name"], metric["value"]))


# its births call a metric DATA/Level that its data call Level, unless told not to
node.data.birth_prefix = ""
node.on_command = command
node.attributes.set_value("Maker", "pypi")
node.data.set_value("Level", 1.5)
node.data.set_value("Count", -3)
node.data.set_value("On", True)
node.commands.set_value("Limit", 10.0)
if not node.connect(host, int(port)):
    say("no connection")
    sys.exit(1)
node.publish_birth()
say("born")
for line in sys.stdin:
    node.data.set_value("Level", float(line))
    node.publish_data()
