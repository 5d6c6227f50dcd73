// SPDX-License-Identifier: GPL-2.0-or-later
// One number for all that a program computed.
'use strict';

class Sum {
  constructor() {
    this.hash = 0x811c9dc5 | 0;
    this.view = new DataView(new ArrayBuffer(8));
  }

  word(w) {
    this.hash = Math.imul(this.hash ^ (w & 0xffff), 0x01000193);
    this.hash = Math.imul(this.hash ^ (w >>> 16), 0x01000193);
  }

  add(value) {
    switch (typeof value) {
    case 'number':
      this.view.setFloat64(0, value);
      this.word(this.view.getInt32(0));
      this.word(this.view.getInt32(4));
      break;
    case 'bigint':
      this.add(value.toString(36));
      break;
    case 'string':
      for (let i = 0; i < value.length; i++)
        this.word(value.charCodeAt(i));
      break;
    default:
      this.add(String(value));
    }
  }

  toString() {
    return (this.hash >>> 0).toString(16).padStart(8, '0');
  }
}

// Numbers that are the same everywhere.
function dice(seed) {
  let s = seed >>> 0;
  return (below) => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return Math.floor(s / 4294967296 * below);
  };
}

// Runs each piece, and prints its sum.
function run(name, pieces) {
  const percent = Number(process.env.JIT_PERCENT || 100);

  for (const [piece, work] of Object.entries(pieces)) {
    const sum = new Sum();
    work(sum, (n) => Math.max(1, Math.floor(n * percent / 100)));
    console.log(`${name} ${piece} ${sum}`);
  }
}

module.exports = { Sum, dice, run };
