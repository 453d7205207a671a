"""An edge node of pysparkplug (PyPI) with a device. A line on stdin is a new Level."""
import sys
import pysparkplug as psp

host, port = sys.argv[1].split(":")


def metric(name, datatype, value):
    return psp.Metric(timestamp=psp.get_current_timestamp(), name=name, datatype=datatype, value=value)


def say(text):
    print(text, flush=True)


node = psp.EdgeNode("Python", "Edge", [metric("Site", psp.DataType.STRING, "here")])
node.connect(host, port=int(port))
node.register(psp.Device("Dev", [
    metric("Level", psp.DataType.DOUBLE, 1.5),
    metric("Count", psp.DataType.INT8, -3),
    metric("Curve", psp.DataType.INT16_ARRAY, (-1, 2)),
]))
say("born")
for line in sys.stdin:
    node.update_device("Dev", [metric("Level", psp.DataType.DOUBLE, float(line))])
