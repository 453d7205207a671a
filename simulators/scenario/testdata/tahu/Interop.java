import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.Date;
import java.util.List;
import org.eclipse.paho.client.mqttv3.MqttMessage;
import org.eclipse.tahu.edge.EdgeClient;
import org.eclipse.tahu.edge.api.MetricHandler;
import org.eclipse.tahu.host.HostApplication;
import org.eclipse.tahu.host.api.HostApplicationEventHandler;
import org.eclipse.tahu.message.SparkplugBPayloadDecoder;
import org.eclipse.tahu.message.SparkplugBPayloadEncoder;
import org.eclipse.tahu.message.model.*;
import org.eclipse.tahu.model.MqttServerDefinition;
import org.eclipse.tahu.mqtt.*;
import org.eclipse.tahu.util.TopicUtil;

/**
 * Eclipse Tahu's Java clients, steered by lines on stdin:
 * codec: each line is a payload in base64; it is decoded and encoded again.
 * edge URL GROUP NODE HOST: an edge node with a device Dev; a line is a new Level.
 * host URL ID: a host application; "rebirth GROUP NODE", "write GROUP NODE DEVICE METRIC DOUBLE".
 */
public class Interop {
	static final BufferedReader in = new BufferedReader(new InputStreamReader(System.in));

	static synchronized void say(String line) {
		System.out.println(line);
		System.out.flush();
	}

	public static void main(String[] args) throws Exception {
		switch (args[0]) {
			case "codec": codec(); break;
			case "edge": new Edge(args).run(); break;
			case "host": new Host(args).run(); break;
			default: throw new IllegalArgumentException(args[0]);
		}
	}

	static void codec() throws Exception {
		for (String line; (line = in.readLine()) != null;) {
			try {
				SparkplugBPayload p = new SparkplugBPayloadDecoder().buildFromByteArray(Base64.getDecoder().decode(line), null);
				say("=> " + Base64.getEncoder().encodeToString(new SparkplugBPayloadEncoder().getBytes(p, false)));
			} catch (Exception e) {
				say("=> ERR " + e);
			}
		}
	}

	static MqttServerDefinition server(String url, String client, Topic death) throws Exception {
		return new MqttServerDefinition(new MqttServerName("Server"), new MqttClientId(client, false), new MqttServerUrl(url), null, null, 5, death);
	}

	static Metric metric(String name, MetricDataType type, Object value) throws Exception {
		return new Metric.MetricBuilder(name, type, value).timestamp(new Date()).createMetric();
	}

	static class Edge implements MetricHandler, ClientCallback {
		final String group, node;
		final EdgeClient client;
		long bdSeq = 0, current = 0;
		double level = 1.5, limit = 10;

		Edge(String[] a) throws Exception {
			group = a[2];
			node = a[3];
			Topic death = new Topic("spBv1.0", group, node, MessageType.NDEATH);
			client = new EdgeClient(this, new EdgeNodeDescriptor(group, node), Collections.singletonList("Dev"), a.length > 4 ? a[4] : null, true, 100L,
				new ArrayList<>(List.of(server(a[1], "tahu-edge", death))), this, null);
		}

		void run() throws Exception {
			new Thread(client).start();
			for (String line; (line = in.readLine()) != null;) {
				if (line.equals("stop")) {
					client.shutdown();
					say("stopped");
					return;
				}
				level = Double.parseDouble(line);
				data("Level", level);
			}
		}

		void data(String name, double v) throws Exception {
			List<Metric> all = new ArrayList<>();
			all.add(metric(name, MetricDataType.Double, v));
			client.publishDeviceData("Dev", new SparkplugBPayload(new Date(), all, client.getNextSeqNum(), null, null));
		}

		public Topic getDeathTopic() { return new Topic("spBv1.0", group, node, MessageType.NDEATH); }

		public byte[] getDeathPayloadBytes() throws Exception {
			current = bdSeq;
			bdSeq = (bdSeq + 1) % 256;
			SparkplugBPayload p = new SparkplugBPayload.SparkplugBPayloadBuilder().setTimestamp(new Date()).addMetric(metric("bdSeq", MetricDataType.Int64, current)).createPayload();
			return new SparkplugBPayloadEncoder().getBytes(p, true);
		}

		public boolean hasMetric(SparkplugDescriptor d, String name) { return name.equals("Limit") || name.equals("Node Control/Rebirth"); }

		public void publishBirthSequence() {
			try {
				SparkplugBPayloadMap birth = new SparkplugBPayloadMap.SparkplugBPayloadMapBuilder().setTimestamp(new Date())
					.addMetric(metric("bdSeq", MetricDataType.Int64, current))
					.addMetric(metric("Node Control/Rebirth", MetricDataType.Boolean, false))
					.addMetric(metric("Site", MetricDataType.String, "here")).createPayload();
				client.publishNodeBirth(birth);
				SparkplugBPayload device = new SparkplugBPayloadMap.SparkplugBPayloadMapBuilder().setTimestamp(new Date())
					.addMetric(metric("Level", MetricDataType.Double, level))
					.addMetric(metric("Limit", MetricDataType.Double, limit))
					.addMetric(metric("Count", MetricDataType.Int8, (byte) -1)).createPayload();
				client.publishDeviceBirth("Dev", device);
				say("born");
			} catch (Exception e) {
				say("ERR " + e);
			}
		}

		public void messageArrived(MqttServerName n, MqttServerUrl u, MqttClientId c, String topic, MqttMessage message) {
			new Thread(() -> {
				try {
					Topic t = TopicUtil.parseTopic(topic);
					if (t.getType() == MessageType.STATE) {
						client.handleStateMessage(t.getHostApplicationId(), new com.fasterxml.jackson.databind.ObjectMapper().readValue(message.getPayload(), StatePayload.class));
						return;
					}
					SparkplugBPayload p = new SparkplugBPayloadDecoder().buildFromByteArray(message.getPayload(), null);
					for (Metric m : p.getMetrics()) {
						if ("Node Control/Rebirth".equals(m.getName()) && Boolean.TRUE.equals(m.getValue())) {
							say("rebirth");
							client.handleRebirthRequest(true);
						} else if (t.getType() == MessageType.DCMD) {
							limit = (Double) m.getValue();
							say("write " + limit);
							data("Limit", limit);
						}
					}
				} catch (Exception e) {
					say("ERR " + e);
				}
			}).start();
		}

		public void shutdown() {}
		public void connectionLost(MqttServerName n, MqttServerUrl u, MqttClientId c, Throwable t) { say("lost"); }
		public void connectComplete(boolean again, MqttServerName n, MqttServerUrl u, MqttClientId c) { say("connected"); }
	}

	static class Host implements HostApplicationEventHandler {
		final HostApplication host;

		Host(String[] a) throws Exception {
			host = new HostApplication(this, a[2], new ArrayList<>(List.of("spBv1.0/#")), new ArrayList<>(List.of(server(a[1], "tahu-host", null))), null,
				new SparkplugBPayloadDecoder(), true);
		}

		void run() throws Exception {
			host.start(true);
			for (String line; (line = in.readLine()) != null;) {
				String[] w = line.split(" ");
				if (w[0].equals("stop")) {
					host.shutdown();
					say("stopped");
					System.exit(0);
				}
				boolean write = w[0].equals("write");
				Topic t = write ? new Topic("spBv1.0", w[1], w[2], w[3], MessageType.DCMD) : new Topic("spBv1.0", w[1], w[2], MessageType.NCMD);
				Metric m = write ? metric(w[4], MetricDataType.Double, Double.parseDouble(w[5])) : metric("Node Control/Rebirth", MetricDataType.Boolean, true);
				host.publishCommand(t, new SparkplugBPayload.SparkplugBPayloadBuilder().setTimestamp(new Date()).addMetric(m).createPayload());
			}
		}

		public void onConnect() { say("connected"); }
		public void onDisconnect() { say("disconnected"); }
		public void onMessage(SparkplugDescriptor d, Message m) {}
		public void onNodeBirthArrived(EdgeNodeDescriptor d, Message m) {}
		public void onNodeBirthComplete(EdgeNodeDescriptor d) { say("NBIRTH " + d.getDescriptorString()); }
		public void onNodeDataArrived(EdgeNodeDescriptor d, Message m) {}
		public void onNodeDataComplete(EdgeNodeDescriptor d) {}
		public void onNodeDeath(EdgeNodeDescriptor d, Message m) {}
		public void onNodeDeathComplete(EdgeNodeDescriptor d) { say("NDEATH " + d.getDescriptorString()); }
		public void onDeviceBirthArrived(DeviceDescriptor d, Message m) {}
		public void onDeviceBirthComplete(DeviceDescriptor d) { say("DBIRTH " + d.getDescriptorString()); }
		public void onDeviceDataArrived(DeviceDescriptor d, Message m) {}
		public void onDeviceDataComplete(DeviceDescriptor d) {}
		public void onDeviceDeath(DeviceDescriptor d, Message m) {}
		public void onDeviceDeathComplete(DeviceDescriptor d) { say("DDEATH " + d.getDescriptorString()); }
		public void onBirthMetric(SparkplugDescriptor d, Metric m) { say("birth " + d.getDescriptorString() + " " + m.getName() + "=" + m.getValue()); }
		public void onDataMetric(SparkplugDescriptor d, Metric m) { say("data " + d.getDescriptorString() + " " + m.getName() + "=" + m.getValue()); }
		public void onStale(SparkplugDescriptor d, Metric m) {}
	}
}
