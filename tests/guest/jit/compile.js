// SPDX-License-Identifier: GPL-2.0-or-later
// V8's compilers: code that is made, specialized, found wrong (deoptimized), moved and thrown away.
'use strict';
const { dice, run } = require('./sum.js');

// The same function sees small integers, doubles, strings, then objects: each time its code is given up.
function deoptimize(sum, n) {
  for (let round = 0; round < n(40); round++) {
    const add = new Function('a', 'b', `return a + b; // ${round}`);
    const get = new Function('o', `let s = 0; for (let i = 0; i < o.length; i++) s += o[i].x | 0; return s + ${round};`);
    const shapes = [];
    let total = 0;

    for (let i = 0; i < 3000; i++)
      total = add(total, i) | 0;
    total = add(total, 0.5);
    for (let i = 0; i < 3000; i++)
      total = add(total, i / 3);
    sum.add(total);
    let text = '';
    for (let i = 0; i < 200; i++)
      text = add(text, i);
    sum.add(text);
    sum.add(add({ valueOf: () => round }, 1));
    for (let i = 0; i < 64; i++) {
      const o = {};
      for (let k = 0; k <= i % 8; k++)
        o['abcdefgh'[(k + i) % 8]] = k;
      o.x = i * 7;
      shapes.push(o);
      sum.add(get(shapes));
    }
    shapes.push({ get x() { return 5; } });
    sum.add(get(shapes));
  }
}

// A class whose method is replaced, whose prototype is changed, under running code.
function prototypes(sum, n) {
  class Base { value(x) { return x + 1; } }
  class Derived extends Base { value(x) { return super.value(x) * 2; } }
  const objects = [new Base(), new Derived()];
  const call = (o, x) => o.value(x);
  let total = 0;

  for (let round = 0; round < n(60); round++) {
    for (let i = 0; i < 4000; i++)
      total = (total + call(objects[i & 1], i)) | 0;
    sum.add(total);
    if (round % 3 === 0)
      Base.prototype.value = new Function('x', `return x ^ ${round};`);
    else if (round % 3 === 1)
      objects[1] = Object.create(Derived.prototype, { own: { value: round } });
    else
      Derived.prototype.value = function value(x) { return Base.prototype.value.call(this, x) + round; };
  }
}

// Thousands of functions, each compiled, run until it is hot, dropped.
function generate(sum, n) {
  const roll = dice(7);
  const ops = ['+', '-', '^', '|', '&', '*'];

  for (let f = 0; f < n(600); f++) {
    let body = 'let a = x | 0, b = y | 0; for (let i = 0; i < k; i++) {';
    for (let line = 0; line < 4 + roll(12); line++) {
      const to = 'ab'[roll(2)], op = ops[roll(ops.length)];
      body += op === '*' ? `${to} = Math.imul(${to}, ${roll(1000) | 1});`
        : `${to} = (${to} ${op} (${'ab'[roll(2)]} ${['>>>', '<<', '>>'][roll(3)]} ${roll(31)}) + ${roll(99)}) | 0;`;
      if (roll(4) === 0)
        body += `if (${to} & ${1 << roll(20)}) b ^= i; else a += b;`;
    }
    const made = new Function('x', 'y', 'k', body + '} return a ^ b;');
    for (let i = 0; i < 20; i++)
      sum.add(made(f, i, 150));
  }
}

// Objects die young and old, in the middle of code that holds them in registers.
function collect(sum, n) {
  const keep = [];
  const roll = dice(11);
  let tree = null;

  const insert = (node, key) => {
    if (!node)
      return { key, left: null, right: null, text: `k${key}` };
    if (key < node.key)
      return { ...node, left: insert(node.left, key) };
    return { ...node, right: insert(node.right, key) };
  };
  for (let i = 0; i < n(12000); i++) {
    tree = insert(tree, roll(1e6));
    if (i % 1000 === 0) {
      keep.push(tree);
      tree = i % 3000 === 0 ? null : tree;
      if (global.gc)
        global.gc();
    }
  }
  const walk = (node) => { if (node) { walk(node.left); sum.add(node.text); walk(node.right); } };
  keep.forEach(walk);
}

function regexps(sum, n) {
  const roll = dice(13);

  for (let i = 0; i < n(150); i++) {
    const word = Array.from({ length: 3 + roll(4) }, () => 'abcdef'[roll(6)]).join('');
    const re = new RegExp(`(${word[0]}+)([^${word[1]}]{0,5})(?=${word[2]})|(?<last>${word}$)`, 'gu');
    let text = '';
    for (let k = 0; k < 400; k++)
      text += 'abcdef '[roll(7)];
    for (let k = 0; k < 6; k++)
      for (const match of (text + word).matchAll(re))
        sum.add(match.index + match[0] + (match.groups.last || ''));
    sum.add(text.replace(re, (m, a, b) => (b || '') + (a || '')));
  }
}

function exceptions(sum, n) {
  const risky = (i) => {
    try {
      if (i % 7 === 0)
        throw new RangeError(`r${i}`);
      if (i % 11 === 0)
        null.x = i;
      return i;
    } catch (e) {
      return e instanceof RangeError ? e.message.length : -1;
    } finally {
      if (i % 13 === 0)
        sum.word(i);
    }
  };
  const deep = (k) => (k ? 1 + deep(k - 1) : 0);
  const forever = () => forever() + 1;
  let total = 0;

  for (let i = 0; i < n(100000); i++)
    total += risky(i);
  for (let i = 0; i < 50; i++)
    total += deep(i * 50);
  for (let i = 0; i < n(20); i++) {
    try {
      forever();
    } catch (e) {
      total += e instanceof RangeError;
    }
  }
  sum.add(total);
}

function arithmetic(sum, n) {
  const floats = new Float64Array(1024), bytes = new Uint8ClampedArray(floats.buffer), ints = new Int32Array(512);
  let big = 1n, x = 0.1;

  for (let round = 0; round < n(300); round++) {
    for (let i = 0; i < 1024; i++) {
      x = Math.sqrt(Math.abs(x * 1.7 - i)) + Math.fround(x / 3) + Math.trunc(x) % 5;
      floats[i] = x;
      ints[i & 511] = Math.imul(i, round) ^ Math.clz32(x * 1e6);
    }
    bytes[round & 1023] = x * 20;
    big = (big * 1000003n + BigInt(ints[round & 511])) % (1n << 521n);
    sum.add(floats[round & 1023]);
    sum.add(ints[(round * 7) & 511]);
  }
  for (const value of floats)
    sum.add(Number.isNaN(value) ? 'nan' : value);
  sum.add(big);
}

function iterate(sum, n) {
  function* numbers(k) { for (let i = 0; i < k; i++) if ((yield i) === 'stop') return 'stopped'; }
  const map = new Map(), set = new Set();

  for (let round = 0; round < n(100); round++) {
    for (const i of numbers(500))
      map.set(`key${i % 97}`, (map.get(`key${i % 97}`) || 0) + i), set.add(i * round % 251);
    const g = numbers(9);
    g.next();
    sum.add(g.next('stop').value);
  }
  for (const [key, value] of map)
    sum.add(key + value);
  sum.add([...set].sort((a, b) => b - a).join());
  sum.add(JSON.stringify(JSON.parse(JSON.stringify([...map.entries()]))));
}

run('compile', { deoptimize, prototypes, generate, collect, regexps, exceptions, arithmetic, iterate });
