// SPDX-License-Identifier: GPL-2.0-or-later
// WebAssembly: modules made of random functions, compiled twice (Liftoff, then TurboFan), run, dropped; accesses beyond
// the memory's end, which V8 finds by a signal at the very instruction.
'use strict';
const { dice, run } = require('./sum.js');

const I32 = 0x7f, I64 = 0x7e, F64 = 0x7c;

function leb(value) {
  const bytes = [];
  let more = true;
  while (more) {
    let b = value & 0x7f;
    value >>= 7;
    more = !((value === 0 && !(b & 0x40)) || (value === -1 && b & 0x40));
    bytes.push(more ? b | 0x80 : b);
  }
  return bytes;
}

function uleb(value) {
  const bytes = [];
  do {
    const b = value & 0x7f;
    value >>>= 7;
    bytes.push(value ? b | 0x80 : b);
  } while (value);
  return bytes;
}

const vector = (items) => [...uleb(items.length), ...items.flat()];
const section = (id, bytes) => [id, ...uleb(bytes.length), ...bytes];
const get = (i) => [0x20, i];
const constant = (v) => [0x41, ...leb(v)];

// Leaves an i32 on the stack: locals 0 and 1 are parameters, 2 the loop's counter, 3 an i64, 4 an f64.
function expression(roll, depth) {
  if (!depth || roll(6) === 0)
    return roll(2) ? get(roll(3)) : constant(roll(1 << 30) - (1 << 29));
  const a = expression(roll, depth - 1), b = expression(roll, depth - 1);
  switch (roll(9)) {
  case 0: case 1: case 2: // add sub mul and or xor shl shr_s shr_u rotl rotr
    return [...a, ...b, [0x6a, 0x6b, 0x6c, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78][roll(11)]];
  case 3: // div_u, rem_u, rem_s by an odd number
    return [...a, ...b, ...constant(7), 0x72, [0x6e, 0x70, 0x70][roll(3)]];
  case 4: // select by a comparison
    return [...a, ...b, ...a, ...b, 0x46 + roll(10), 0x1b];
  case 5: // load
    return [...a, ...constant(0xfffc), 0x71, [0x28, 0x2c, 0x2d, 0x2e, 0x2f][roll(5)], 0, ...uleb(roll(64))];
  case 6: // through 64 bits
    return [...a, 0xac, ...b, 0xad, [0x7c, 0x7d, 0x7e, 0x83, 0x85, 0x89][roll(6)], 0xa7];
  case 7: // through doubles; conversions that do not trap
    return [...a, 0xb7, ...b, 0xb8, 0xa0 + roll(3), 0xfc, 2];
  default: // clz ctz popcnt extend8 extend16 eqz
    return [...a, [0x67, 0x68, 0x69, 0xc0, 0xc1, 0x45][roll(6)]];
  }
}

function statement(roll, functions, self) {
  switch (roll(5)) {
  case 0:
    return [...get(0), ...constant(0x7ffc), 0x71, ...expression(roll, 3), 0x36, 0, ...uleb(roll(256))]; // store
  case 1: // if … else …
    return [...expression(roll, 2), 0x04, 0x40, ...expression(roll, 3), 0x21, 0, 0x05, ...expression(roll, 3), 0x21, 1, 0x0b];
  case 2: // one that comes later, by the table: no recursion
    if (self + 1 < functions)
      return [...expression(roll, 1), ...expression(roll, 1), ...constant(self + 1 + roll(functions - self - 1)), 0x11, 0, 0, 0x21, roll(2)];
  // fallthrough
  default:
    return [...expression(roll, 4), 0x21, roll(2)];
  }
}

// (i32, i32) → i32, each a loop of a few turns.
function body(roll, functions, self) {
  const turns = 2 + roll(4);
  let code = [...constant(0), 0x21, 2, 0x03, 0x40];
  for (let i = 0; i < 2 + roll(4); i++)
    code = [...code, ...statement(roll, functions, self)];
  code = [...code, ...get(2), ...constant(1), 0x6a, 0x22, 2, ...constant(turns), 0x49, 0x0d, 0, 0x0b, ...get(0), ...get(1), 0x73, 0x0b];
  const locals = vector([[...uleb(1), I32], [...uleb(1), I64], [...uleb(1), F64]]);
  return [...uleb(locals.length + code.length), ...locals, ...code];
}

function build(roll, functions) {
  const name = [...Buffer.from('m')];
  const exports = [[...vector(name), 2, 0]];
  for (let i = 0; i < functions; i++)
    exports.push([...vector([...Buffer.from(`f${i}`)]), 0, ...uleb(i)]);
  return new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, vector([[0x60, 2, I32, I32, 1, I32]])),
    ...section(3, vector(Array(functions).fill([0]))),
    ...section(4, vector([[0x70, 0, ...uleb(functions)]])),
    ...section(5, vector([[1, 2, 10]])),
    ...section(7, vector(exports)),
    ...section(9, vector([[0, ...constant(0), 0x0b, ...vector(Array.from({ length: functions }, (_, i) => uleb(i)))]])),
    ...section(10, vector(Array.from({ length: functions }, (_, i) => body(roll, functions, i))))]);
}

function modules(sum, n) {
  for (let m = 0; m < n(60); m++) {
    const roll = dice(m + 1);
    const functions = 3 + roll(5);
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(build(roll, functions)));
    for (let i = 0; i < 60; i++)
      sum.add(exports[`f${i % functions}`](i * 77, m - i));
    exports.m.grow(1);
    for (let i = 0; i < 10; i++)
      sum.add(exports.f0(i, exports.m.buffer.byteLength));
    for (const w of new Int32Array(exports.m.buffer).subarray(0, 512))
      sum.word(w);
  }
}

// One function: (address, value) → what was there, after the store.
function traps(sum, n) {
  const code = [0, ...get(0), ...get(1), 0x36, 0, 0, ...get(0), 0x28, 0, 0, ...get(1), 0x6e, 0x0b];
  const bytes = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, vector([[0x60, 2, I32, I32, 1, I32]])), ...section(3, vector([[0]])), ...section(5, vector([[0, 1]])),
    ...section(7, vector([[...vector([...Buffer.from('f')]), 0, 0], [...vector([...Buffer.from('m')]), 2, 0]])),
    ...section(10, vector([[...uleb(code.length), ...code]]))]);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes));
  const roll = dice(3);

  for (let i = 0; i < n(20000); i++) {
    const address = roll(3) ? roll(65536) : roll(2) ? 65533 + roll(5) : -roll(1 << 30);
    try {
      sum.add(exports.f(address, roll(9)));
    } catch (e) {
      sum.add(e instanceof WebAssembly.RuntimeError ? e.message : 'other');
    }
  }
  for (const w of new Int32Array(exports.m.buffer))
    sum.word(w);
}

run('wasm', { modules, traps });
