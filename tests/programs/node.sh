#!/bin/bash
# Node: buffers, JSON, compression, hashes, worker threads, child processes.
source "$(dirname "$0")/common.bash"

need node nodejs
cat >"$tmp/work.js" <<'END'
const { Worker, isMainThread, workerData, parentPort } = require('worker_threads');
const { execFileSync } = require('child_process');
const crypto = require('crypto');
const zlib = require('zlib');

const hash = (data) => crypto.createHash('sha256').update(data).digest('hex').slice(0, 16);

function work(seed) {
  let state = seed;
  const random = (n) => (state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff) % n;
  const record = (_, i) => ({ id: i, name: `n${random(5000)}`, tags: [random(9), random(9)] });
  const records = Array.from({ length: 20000 }, record);
  const text = JSON.stringify(records);
  const again = JSON.parse(text);
  const groups = new Map();
  for (const r of again) groups.set(r.name, (groups.get(r.name) || []).concat(r.id));
  const buffers = [];
  for (let i = 0; i < 3000; i++) {
    const buffer = Buffer.alloc(random(20000));
    buffer.fill(i & 255, 0, buffer.length >> 1); // the other half must be zero
    if (buffers.length > 200) buffers.splice(random(200), 1);
    buffers.push(buffer);
  }
  const all = Buffer.concat(buffers);
  const packed = zlib.gzipSync(all);
  const brotli = zlib.brotliCompressSync(text, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 5 } });
  const same = zlib.gunzipSync(packed).equals(all) && zlib.brotliDecompressSync(brotli).toString() === text;
  return [hash(text), hash(all), hash(brotli), groups.size, same].join(' ');
}

if (isMainThread) {
  const results = [];
  let open = 4;
  for (let i = 0; i < 4; i++) {
    const worker = new Worker(__filename, { workerData: i + 1 });
    worker.on('message', (result) => (results[i] = result));
    worker.on('error', (error) => { throw error; });
    worker.on('exit', () => {
      if (--open) return;
      for (const result of results) console.log(result);
      console.log(work(99));
      const child = ['-p', 'Buffer.alloc(1 << 26, 7).reduce((a, b) => a + b)'];
      console.log(execFileSync(process.execPath, child).toString().trim());
    });
  }
} else {
  parentPort.postMessage(work(workerData));
}
END
both node node "$tmp/work.js"
