// SPDX-License-Identifier: GPL-2.0-or-later
// Threads that all compile, collect and synchronize by shared memory: what one writes another runs or reads.
'use strict';
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const { Sum, dice } = require('./sum.js');

const WORKERS = 4;

function count(cells, rounds) {
  for (let i = 0; i < rounds; i++) {
    while (Atomics.compareExchange(cells, 0, 0, 1) !== 0)
      Atomics.wait(cells, 0, 1, 1);
    cells[2]++; // under the lock
    Atomics.store(cells, 0, 0);
    Atomics.notify(cells, 0, 1);
    Atomics.add(cells, 1, 1);
  }
}

function work({ shared, number, rounds }) {
  const sum = new Sum(), roll = dice(number), cells = new Int32Array(shared);

  for (let i = 0; i < rounds; i++) {
    const k = roll(1000);
    const f = new Function('x', `let s = 0; for (let i = 0; i < x; i++) s = (s * 31 + (i ^ ${k})) | 0; return s;`);
    for (let j = 0; j < 5; j++)
      sum.add(f(500 + j));
    sum.add(Array.from({ length: 50 }, () => ({ v: roll(1e9) })).sort((a, b) => a.v - b.v).map((o) => o.v).join());
    count(cells, 20);
  }
  parentPort.postMessage(String(sum));
}

if (isMainThread) {
  const rounds = Math.max(1, Math.floor(4 * Number(process.env.JIT_PERCENT || 100)));
  const shared = new SharedArrayBuffer(64), sums = [];
  let left = WORKERS;

  for (let number = 0; number < WORKERS; number++) {
    const worker = new Worker(__filename, { workerData: { shared, number, rounds } });
    worker.on('message', (text) => { sums[number] = text; });
    worker.on('error', (e) => { throw e; });
    worker.on('exit', () => {
      if (--left)
        return;
      const cells = new Int32Array(shared);
      console.log(`workers sums ${sums.join(' ')}`);
      console.log(`workers counts ${cells[1]} ${cells[2]}`);
    });
  }
} else {
  work(workerData);
}
