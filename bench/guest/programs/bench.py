# SPDX-License-Identifier: GPL-2.0-or-later
"""Pure Python: objects, dictionaries, strings, generators, big integers. usage: bench.py SIZE"""

import sys


class Node:
    __slots__ = ("key", "left", "right")

    def __init__(self, key):
        self.key, self.left, self.right = key, None, None


def tree(count):
    """A binary tree of pseudo-random keys; the sum of its leaves' depths."""
    root, state = Node(1 << 30), 12345
    for _ in range(count):
        state = (state * 1103515245 + 12345) & 0x7fffffff
        node = root
        while True:
            side = "left" if state < node.key else "right"
            below = getattr(node, side)
            if below is None:
                setattr(node, side, Node(state))
                break
            node = below
    stack, total = [(root, 0)], 0
    while stack:
        node, depth = stack.pop()
        if node is not None:
            total += depth
            stack += ((node.left, depth + 1), (node.right, depth + 1))
    return total


def words(count):
    text = " ".join(f"word{i * 7919 % 1013} and {i % 37:03d}" for i in range(count))
    counts = {}
    for word in text.split():
        counts[word] = counts.get(word, 0) + 1
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:5]


def queens(n):
    def place(row, columns, up, down):
        if row == n:
            return 1
        return sum(place(row + 1, columns | {c}, up | {row + c}, down | {row - c}) for c in range(n)
                   if c not in columns and row + c not in up and row - c not in down)
    return place(0, frozenset(), frozenset(), frozenset())


def digits(count):
    """Digits of pi, one by one (Gibbons' spigot)."""
    q, r, t, k, n, l = 1, 0, 1, 1, 3, 3
    out = []
    while len(out) < count:
        if 4 * q + r - t < n * t:
            out.append(n)
            q, r, n = 10 * q, 10 * (r - n * t), (10 * (3 * q + r)) // t - 10 * n
        else:
            q, r, t, k, n, l = q * k, (2 * q + r) * l, t * l, k + 1, (q * (7 * k + 2) + r * l) // (t * l), l + 2
    return "".join(map(str, out))


def bodies(steps):
    x, v = [1.0, 0.0, 0.2], [0.0, 0.9, 0.1]
    for _ in range(steps):
        square = sum(c * c for c in x)
        pull = 0.01 / (square * square ** 0.5)
        v = [b - a * pull for a, b in zip(x, v)]
        x = [a + 0.01 * b for a, b in zip(x, v)]
    return " ".join(f"{c:.6f}" for c in x)


size = int(sys.argv[1])
print(tree(300 * size), words(800 * size), queens(7 if size >= 50 else 6), digits(6 * size), bodies(800 * size))
