// An edge node made with npm's sparkplug-client: node edge.js mqtt://host:port
// It is born as Foreign/Node with the device Dev, and publishes what comes in
// on stdin as the value of Dev's metric Level, a number a line.
const readline = require('readline');
const client = require('sparkplug-client').newClient({
  serverUrl: process.argv[2], username: 'edge', password: 'edge',
  groupId: 'Foreign', edgeNode: 'Node', clientId: 'foreign-node', version: 'spBv1.0', keepalive: 4,
});

client.on('birth', () => {
  client.publishNodeBirth({
    timestamp: Date.now(),
    metrics: [
      { name: 'Node Control/Rebirth', type: 'Boolean', value: false },
      { name: 'Up', type: 'Boolean', value: true },
    ],
  });
  client.publishDeviceBirth('Dev', {
    timestamp: Date.now(),
    metrics: [
      { name: 'Level', type: 'Double', value: 1.5 },
      { name: 'Count', type: 'Int32', value: -3 },
    ],
  });
  console.log('born');
});
client.on('ncmd', () => client.emit('birth')); // the one command it has
client.on('error', (err) => { console.error(err); process.exit(1); });

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  client.publishDeviceData('Dev', {
    timestamp: Date.now(),
    metrics: [{ name: 'Level', type: 'Double', value: Number(line) }],
  });
});
