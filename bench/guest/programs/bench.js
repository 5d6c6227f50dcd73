// SPDX-License-Identifier: GPL-2.0-or-later
// JavaScript as a JIT likes it and as a collector fears it: objects, closures, typed arrays, strings, JSON, regular
// expressions. usage: node bench.js SIZE
"use strict";

const size = Number(process.argv[2]);

class Shape {
  constructor(w, h) { this.w = w; this.h = h; }
  area() { return this.w * this.h; }
}
class Round extends Shape {
  area() { return Math.floor(3.25 * this.w * this.w); }
}

function shapes(count) {
  let sum = 0;
  for (let round = 0; round < count; round++) {
    const all = [];
    for (let i = 0; i < 1000; i++) all.push(i % 3 ? new Shape(i, round) : new Round(i, 0));
    sum = (sum + all.map((s) => s.area()).filter((a) => a % 2).reduce((a, b) => a + b, 0)) % 1000003;
  }
  return sum;
}

function sieve(limit) {
  const composite = new Uint8Array(limit);
  let primes = 0;
  for (let i = 2; i < limit; i++) {
    if (composite[i]) continue;
    primes++;
    for (let j = i * 2; j < limit; j += i) composite[j] = 1;
  }
  return primes;
}

function waves(count) {
  const a = new Float64Array(1024).map((_, i) => (i * 37) % 101);
  for (let round = 0; round < count; round++) {
    for (let i = 1; i < 1023; i++) a[i] = (a[i - 1] + 2 * a[i] + a[i + 1]) / 4 + 0.01;
  }
  return a.reduce((x, y) => x + y, 0).toFixed(6);
}

function texts(count) {
  const words = new Map();
  for (let i = 0; i < count; i++) {
    const line = `user${i % 211} did ${(i * 7919) % 1013}: ${JSON.stringify({ id: i, tags: ["a", `b${i % 7}`] })}`;
    const match = /user(\d+) did (\d+): (.*)/.exec(line);
    const value = JSON.parse(match[3]);
    const key = match[1] + value.tags[1];
    words.set(key, (words.get(key) || 0) + Number(match[2]));
  }
  return [...words].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 3).join(" ");
}

function closures(count) {
  const make = (n) => (x) => (x * 31 + n) | 0;
  const steps = Array.from({ length: 16 }, (_, i) => make(i));
  let x = 1;
  for (let i = 0; i < count; i++) x = steps[i & 15](x);
  return x;
}

console.log(shapes(40 * size), sieve(60000 * size), waves(200 * size), texts(1500 * size), closures(300000 * size));
