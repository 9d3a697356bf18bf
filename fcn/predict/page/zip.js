// A ZIP of files that are compressed already: {name: Uint8Array} -> Blob.
const TABLE = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function crc(data) {
  let found = -1;
  for (const byte of data) found = (found >>> 8) ^ TABLE[(found ^ byte) & 255];
  return ~found >>> 0;
}

// Numbers of 2 or 4 bytes, little-endian, as [size, value, size, value, ...].
function packed(...numbers) {
  const bytes = [];
  for (let at = 0; at < numbers.length; at += 2) {
    for (let byte = 0; byte < numbers[at]; byte++) bytes.push((numbers[at + 1] >>> (8 * byte)) & 255);
  }
  return Uint8Array.from(bytes);
}

export function zip(files) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const [text, data] of Object.entries(files)) {
    const name = new TextEncoder().encode(text);
    // version, flags (UTF-8), stored, time, 1 January 1980, checksum, sizes, length of the name, extra
    const common = [2, 20, 2, 0x800, 2, 0, 2, 0, 2, 0x21, 4, crc(data), 4, data.length, 4, data.length, 2, name.length, 2, 0];
    const head = packed(4, 0x04034b50, ...common);
    directory.push(packed(4, 0x02014b50, 2, 20, ...common, 2, 0, 2, 0, 2, 0, 4, 0, 4, offset), name);
    parts.push(head, name, data);
    offset += head.length + name.length + data.length;
  }
  const size = directory.reduce((sum, each) => sum + each.length, 0);
  const count = Object.keys(files).length;
  return new Blob([...parts, ...directory, packed(4, 0x06054b50, 2, 0, 2, 0, 2, count, 2, count, 4, size, 4, offset, 2, 0)], { type: 'application/zip' });
}
