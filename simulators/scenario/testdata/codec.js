// Decodes each line, a payload in base64, with npm's sparkplug-payload and
// encodes it again. "deflate " and "gzip " before it compress as sparkplug-client does.
const codec = require('sparkplug-payload').get('spBv1.0');
const pako = require('pako');
require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
  try {
    const [how, text] = line.includes(' ') ? line.split(' ') : ['', line];
    const bytes = Buffer.from(text, 'base64');
    let out;
    if (how) {
      const body = how === 'gzip' ? pako.gzip(bytes) : pako.deflate(bytes);
      out = codec.encodePayload({ uuid: 'SPBV1.0_COMPRESSED', body, metrics: [{ name: 'algorithm', value: how.toUpperCase(), type: 'String' }] });
    } else {
      out = codec.encodePayload(codec.decodePayload(bytes));
    }
    console.log('=> ' + Buffer.from(out).toString('base64'));
  } catch (e) {
    console.log('=> ERR ' + String(e).split('\n')[0]);
  }
});
