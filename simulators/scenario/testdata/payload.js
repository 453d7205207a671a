// Speaks npm's sparkplug-payload over stdin and stdout, a line each:
//   decode BASE64 -> JSON of the payload
//   encode        -> BASE64 of a payload with a metric of every scalar type
const readline = require('readline');
const spb = require('sparkplug-payload').get('spBv1.0');

// Longs print as decimal strings, bytes as base64.
const plain = (key, v) => {
  if (v && typeof v === 'object' && 'low' in v && 'high' in v && 'unsigned' in v) return v.toString();
  if (v && v.type === 'Buffer') return Buffer.from(v.data).toString('base64');
  return v;
};

const sample = {
  timestamp: 1700000000000,
  seq: 7,
  metrics: [
    { name: 'i8', type: 'Int8', value: -8 },
    { name: 'i16', type: 'Int16', value: -1600 },
    { name: 'i32', type: 'Int32', value: -320000 },
    { name: 'i64', type: 'Int64', value: -5 },
    { name: 'u8', type: 'UInt8', value: 200 },
    { name: 'u16', type: 'UInt16', value: 60000 },
    { name: 'u32', type: 'UInt32', value: 4000000000 },
    { name: 'u64', type: 'UInt64', value: 9007199254740991 },
    { name: 'f', type: 'Float', value: 1.5 },
    { name: 'd', type: 'Double', value: -2.25 },
    { name: 'b', type: 'Boolean', value: true },
    { name: 's', type: 'String', value: 'höhe' },
    { name: 't', type: 'DateTime', value: 1600000000000 },
    { name: 'n', type: 'Int32', value: null },
    { name: 'by', type: 'Bytes', value: Buffer.from([1, 2, 255]) },
  ],
};

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const [what, data] = line.split(' ');
  if (what === 'encode') {
    console.log(Buffer.from(spb.encodePayload(sample)).toString('base64'));
  } else {
    console.log(JSON.stringify(spb.decodePayload(Buffer.from(data, 'base64')), plain));
  }
});
