#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes the enum of mnemonics and the decoder's tables from x86/insn-*.tab.

usage: insn-gen.py ids|table OUTPUT INPUT.tab...

docs/insn-table.md has the syntax of the input, x86/insn-table-internal.h the
shape of the output. Whatever the table says that cannot be is an error here:
an unknown word, an operand without a place in the encoding, a row that an
earlier one hides.
"""

import re
import sys

# The bits of a key: what of an encoding chooses between the rows of one opcode.
KEY = {'mode': (0, 2), 'pp': (2, 2), 'mod3': (4, 1), 'reg': (5, 3), 'rm': (8, 3),
       'w': (11, 1), 'l': (12, 1), 'b': (13, 1)}
PP = {'np': 0, '66': 1, 'f3': 2, 'f2': 3}
FLAGS = {'c': 'CF', 'p': 'PF', 'a': 'AF', 'z': 'ZF', 's': 'SF', 'o': 'OF'}
PROPERTIES = {'lock': 'LOCKABLE', 'priv': 'PRIVILEGED', 'branch': 'BRANCH', 'fp': 'FP_EXC',
              'aligned': 'ALIGNED', 'vec': 'VECTOR', 'x87': 'X87', 'serialize': 'SERIALIZE',
              'string': 'STRING', 'io': 'IO', 'maybe': 'FLAGS_MAYBE',
              'privud': 'PRIV_UD', 'prot': 'PROTECTED'}

# Sizes in bytes: a number, or one for each value of what selects it.
SIZES = {
    '0': 0, 'b': 1, 'w': 2, 'd': 4, 'q': 8, 't': 10, 'o': 16, '64': 64, '512': 512,
    'v': ('OPSIZE', 2, 4, 8), 'z': ('OPSIZE', 2, 4, 4), 'y': ('OPSIZE', 4, 4, 8),
    'vv': ('OPSIZE', 4, 8, 16), 'p': ('OPSIZE', 4, 6, 10),
    'en': ('OPSIZE', 14, 28, 28), 'be': ('OPSIZE', 94, 108, 108),
    'a': ('ADDRSIZE', 2, 4, 8), 'r': ('MODE', 4, 4, 8), 's': ('MODE', 6, 6, 10),
    'x': ('VEX_L', 16, 32), 'hx': ('VEX_L', 8, 16), 'qx': ('VEX_L', 4, 8), 'ex': ('VEX_L', 2, 4),
    'dd': ('VEX_L', 8, 32),
}
SIZE_INDEX = {name: i for i, name in enumerate(SIZES)}

# letter: (how it is found, its register class, what it demands of ModRM)
LETTERS = {
    'E': ('RM', 'GPR', None), 'G': ('REG', 'GPR', None), 'R': ('RM', 'GPR', 'reg'),
    'M': ('RM', 'GPR', 'mem'), 'B': ('VVVV', 'GPR', None), 'Z': ('OPCODE', 'GPR', None),
    'S': ('REG', 'SEG', None), 'C': ('REG', 'CR', None), 'D': ('REG', 'DR', None),
    'V': ('REG', 'VEC', None), 'W': ('RM', 'VEC', None), 'U': ('RM', 'VEC', 'reg'),
    'H': ('VVVV', 'VEC', None), 'L': ('IS4', 'VEC', None), 'T': ('RM', 'VEC', 'mem'),
    'P': ('REG', 'MMX', None), 'Q': ('RM', 'MMX', None), 'N': ('RM', 'MMX', 'reg'),
    'O': ('MOFFS', 'GPR', None), 'X': ('DS_RSI', 'GPR', None), 'Y': ('ES_RDI', 'GPR', None),
}
IMMEDIATES = {
    'Ib': ('IMM8', 'b'), 'Is': ('IMM8S', 'v'), 'Iw': ('IMM16', 'w'), 'Iz': ('IMMZ', 'v'),
    'Iv': ('IMMV', 'v'), '1': ('ONE', 'b'), 'Jb': ('REL8', 'b'), 'Jz': ('RELZ', 'z'),
    'Ap': ('FAR', 'p'),
}
GPRS = ['AX', 'CX', 'DX', 'BX', 'SP', 'BP', 'SI', 'DI']
FIXED = {'AL': ('GPR', 0, 'b'), 'CL': ('GPR', 1, 'b'), 'AH': ('GPR8H', 0, 'b'),
         'AX': ('GPR', 0, 'w'), 'DX': ('GPR', 2, 'w'), 'ST': ('ST', 0, 't'), 'XMM0': ('VEC', 0, 'o')}
FIXED.update({'R%d' % i: ('GPR', i, 'q') for i in range(8, 16)})
FIXED.update({s: ('SEG', i, 'w') for i, s in enumerate(['ES', 'CS', 'SS', 'DS', 'FS', 'GS'])})
for number, name in enumerate(GPRS):
    FIXED['E' + name] = ('GPR', number, 'd')
    FIXED['R' + name] = ('GPR', number, 'q')
    for letter, size in (('r', 'v'), ('z', 'z'), ('y', 'y'), ('a', 'a')):
        FIXED[letter + name] = ('GPR', number, size)


class TableError(Exception):
    pass


class Row:
    """One line of the table, or a VEX form made from one."""

    def __init__(self, name, where, feature, words):
        self.name, self.where, self.feature = name, where, feature
        self.key = {}           # field: (mask, value)
        self.map = self.opcode = None
        self.vex = False
        self.modrm = None
        self.span = 1           # opcodes from the first on: 8 for +r, 16 for +cc
        self.flags = []         # of struct insn_desc
        self.operands = []
        self.vsib = None
        self.read, self.written, self.undefined = [], [], []
        self.properties = set(words)

    def fix(self, field, value, mask=None):
        mask = (1 << KEY[field][1]) - 1 if mask is None else mask
        old_mask, old = self.key.get(field, (0, 0))
        if (old ^ value) & old_mask & mask:
            raise TableError('%s is given twice' % field)
        self.key[field] = (old_mask | mask, old | value)

    def packed(self):
        mask = value = 0
        for field, (m, v) in self.key.items():
            mask |= m << KEY[field][0]
            value |= v << KEY[field][0]
        return mask, value


def parse_opcode(row, word):
    data = bytes.fromhex(word)
    if row.vex and data[0] != 0x0F:
        raise TableError('VEX has no one-byte map')
    if data[:2] in (b'\x0f\x38', b'\x0f\x3a') and len(data) == 3:
        row.map = 2 if data[1] == 0x38 else 3
    elif data[0] == 0x0F and len(data) == 2:
        row.map = 1
    elif len(data) == 1:
        row.map = 0
    else:
        raise TableError('no such opcode map')
    row.opcode = data[-1]


def parse_vex(row, word):
    row.vex = True
    row.properties.add('prot')
    length, pp, w = word.split('.')[1:]
    if length in ('128', '256'):
        row.fix('l', int(length == '256'))
    elif length not in ('any', 'lig'):
        raise TableError('VEX.L: ' + length)
    row.fix('pp', PP[pp])
    if w in ('w0', 'w1'):
        row.fix('w', int(w[1]))
    elif w not in ('wig', 'w'):
        raise TableError('VEX.W: ' + w)


def parse_encoding(row, text):
    for word in text.split():
        if word.startswith('vex.'):
            parse_vex(row, word)
        elif word in ('np', 'p66', 'pf3', 'pf2'):
            row.fix('pp', PP[word.lstrip('p') if word != 'np' else word])
            if word == 'p66':
                row.flags.append('MANDATORY_66')
        elif word == 'nf':
            row.fix('pp', 0, 2)
        elif re.fullmatch(r'[0-9A-F]{2,6}(\+r|\+cc)?', word):
            base, _, plus = word.partition('+')
            parse_opcode(row, base)
            row.span = {'': 1, 'r': 8, 'cc': 16}[plus]
        elif re.fullmatch(r'/[0-7r]', word):
            row.modrm = True
            if word != '/r':
                row.fix('reg', int(word[1]))
        elif re.fullmatch(r'=[C-F][0-9A-F]', word):
            row.modrm = True
            byte = int(word[1:], 16)
            row.fix('mod3', 1)
            row.fix('reg', byte >> 3 & 7)
            row.fix('rm', byte & 7)
        elif word in ('mem', 'reg'):
            row.fix('mod3', int(word == 'reg'))
        elif word in ('no64', 'only64'):
            row.fix('mode', 2 if word == 'only64' else 0, 2)
        elif word in ('rexw0', 'rexw1'):
            row.fix('w', int(word[-1]))
        elif word == 'rexb0':
            row.fix('b', 0)
        elif word in ('d64', 'f64', 'max32', 'nomod'):
            row.flags.append(word.upper())
        else:
            raise TableError('encoding: ' + word)
    if row.map is None:
        raise TableError('no opcode')


def parse_operand(row, word):
    """One operand as (how, class, register, size, size in memory, access, implicit)."""
    implicit = word.startswith('(')
    word = word.strip('()')
    access = {'=': 'X86_WRITE', '+': 'X86_RW', '@': '0'}.get(word[0], 'X86_READ')
    word = word.lstrip('=+@')
    if word in FIXED:
        rclass, reg, size = FIXED[word]
        return ('FIXED', rclass, reg, size, size, access, implicit)
    if word in IMMEDIATES:
        how, size = IMMEDIATES[word]
        return (how, 'GPR', 0, size, size, access, implicit)
    if word == 'STi':
        return ('RM', 'ST', 0, 't', 't', access, implicit)
    fixed_memory = re.fullmatch(r'M\[[ra](..)\](.*)', word)
    if fixed_memory:
        size = fixed_memory[2]
        return ('MEM_AT', 'GPR', GPRS.index(fixed_memory[1]), size, size, access, implicit)
    letter, (size, _, memory) = word[0], word[1:].partition('/')
    if letter not in LETTERS or (size or 'w') not in SIZES:
        raise TableError('operand: ' + word)
    how, rclass, wants = LETTERS[letter]
    if wants and 'NOMOD' not in row.flags and row.key.get('mod3') != (1, int(wants == 'reg')):
        raise TableError('operand %s wants the encoding to say %s' % (word, wants))
    if how in ('RM', 'REG') and not row.modrm or how == 'OPCODE' and row.span != 8:
        raise TableError('operand %s has no place in the encoding' % word)
    size = size or 'w'
    return (how, rclass, 0, size, memory or size, access, implicit)


def parse_properties(row, text):
    """Returns how a VEX form is made from the row, if at all."""
    vex = None
    for word in text.split():
        name, _, value = word.partition('=')
        if name in ('r', 'w', 'u'):
            target = {'r': row.read, 'w': row.written, 'u': row.undefined}[name]
            if value == 'cc':
                value = 'oszpc'
            target.extend(FLAGS[c] for c in value)
        elif name == 'vex':
            vex = value
        elif name == 'vsib':
            row.vsib = value
            row.flags.append('VSIB')
        elif name == 'novec':
            row.properties.discard('vec')
        elif word == 'privud':
            row.properties.update(('priv', 'privud'))
        elif word in PROPERTIES or word == 'unaligned':
            row.properties.add(word)
        else:
            raise TableError('property: ' + word)
    return vex


def alignment(row):
    """Legacy SSE wants 16-byte operands aligned, unless the row says otherwise."""
    if row.vex or 'vec' not in row.properties or 'unaligned' in row.properties:
        return
    for how, _, _, _, memory, _, _ in row.operands:
        if how == 'RM' and memory in ('x', 'o') and row.key.get('mod3') != (1, 1):
            row.properties.add('aligned')


def vex_form(row, spec, length, feature):
    """The VEX form of a legacy SSE row: see "vex=" in docs/insn-table.md."""
    form = Row('V' + row.name, row.where, feature, row.properties)
    form.properties.add('prot')
    form.map, form.opcode, form.modrm, form.vex = row.map, row.opcode, row.modrm, True
    form.read, form.written, form.undefined = row.read, row.written, row.undefined
    for field, (mask, value) in row.key.items():
        if field != 'w':
            form.fix(field, value, mask)
    if spec.endswith(('w0', 'w1')):
        form.fix('w', int(spec[-1]))
    elif row.key.get('w') == (1, 1):
        # Outside 64-bit mode VEX.W chooses nothing where it is about a GPR's size.
        form.fix('w', 1)
        form.fix('mode', 2, 2)
    if length is not None:
        form.fix('l', length)
    operands = list(row.operands)
    if 'h' in spec or 'u' in spec:
        how, rclass, reg, size, memory, access, implicit = operands[0]
        source = ('VVVV', 'VEC', 0, size, size, 'X86_READ', False)
        written = (how, rclass, reg, size, memory, 'X86_WRITE', implicit)
        if 'u' in spec:
            operands[:1] = [source[:5] + ('X86_WRITE', False), (how, rclass, reg, size, memory, 'X86_READ', False)]
        else:
            operands[:1] = [written, source]
    form.operands = operands
    return form


def vex_forms(row, spec):
    name = row.feature
    if 'i' in spec:
        return [vex_form(row, spec, 0, 'AVX'), vex_form(row, spec, 1, 'AVX2')]
    if 'v' in spec:
        return [vex_form(row, spec, 0, 'AVX_' + name), vex_form(row, spec, 1, 'V' + name)]
    if 'g' in spec:
        return [vex_form(row, spec, None, 'AVX_' + name)]
    return [vex_form(row, spec, 0 if '0' in spec else None, 'AVX')]


def parse(paths):
    rows = []
    for path in paths:
        feature, words = None, []
        with open(path, encoding='ascii') as lines:
            for number, line in enumerate(lines, 1):
                where = '%s:%d' % (path, number)
                line = line.strip()
                if not line or line.startswith('#'):
                    continue
                if line.startswith('['):
                    feature, *words = line.strip('[]').split()
                    continue
                try:
                    name, encoding, operands, properties = [f.strip() for f in line.split('|')]
                    row = Row(name, where, feature, words)
                    parse_encoding(row, encoding)
                    row.operands = [parse_operand(row, w) for w in operands.split()]
                    if len(row.operands) > 6:
                        raise TableError('too many operands')
                    vex = parse_properties(row, properties)
                    rows.append(row)
                    if vex is not None:
                        rows.extend(vex_forms(row, vex))
                    alignment(row)
                except (TableError, ValueError, KeyError, IndexError) as error:
                    sys.exit('%s: %s' % (where, error))
    return rows


def candidates_of(rows):
    """(map, opcode): its rows in order, checked for rows that can never match."""
    slots = {}
    for row in rows:
        for opcode in range(row.opcode, row.opcode + row.span):
            slots.setdefault((row.map + 4 * row.vex, opcode), []).append(row)
    for (where, opcode), members in slots.items():
        if len({bool(row.modrm) for row in members}) != 1:
            sys.exit('%s: ModRM or not, in map %d opcode %02X?' % (members[0].where, where, opcode))
        for i, row in enumerate(members):
            mask, value = row.packed()
            for earlier in members[:i]:
                m, v = earlier.packed()
                if m & mask == m and value & m == v:
                    sys.exit('%s: hidden by %s' % (row.where, earlier.where))
    return slots


def flag_bits(names):
    return ' | '.join('X86_FL_' + n for n in names) or '0'


def feature_name(feature):
    return 'NONE' if feature == '-' else feature


def emit_ids(rows, out):
    features = sorted({row.feature for row in rows} - {'-'})
    out.append('#ifndef X86_INSN_IDS_H\n#define X86_INSN_IDS_H\n')
    out.append('/* One for each mnemonic. */\nenum x86_id {\n    X86_INVALID,')
    out.extend('    X86_%s,' % name for name in sorted({row.name for row in rows}))
    out.append('    X86_ID_COUNT,\n};\n')
    out.append('/* What CPUID says that a processor has; X(NAME) for each. */\n#define X86_FEATURES(X) \\')
    out.append(' \\\n'.join('    X(%s)' % name for name in features) + '\n')
    out.append('enum x86_feature {\n    X86_FEAT_NONE,')
    out.extend('    X86_FEAT_%s,' % name for name in features)
    out.append('    X86_FEAT_COUNT,\n};\n\n#endif')


def emit_sizes(out):
    out.append('const struct insn_size x86_insn_sizes[] = {')
    for name, size in SIZES.items():
        selector, *values = size if isinstance(size, tuple) else ('NOTHING', size, size, size)
        values = (values + values[-1:])[:3]
        out.append('    /* %-3s */ {{%s}, SIZE_BY_%s},' % (name, ', '.join(map(str, values)), selector))
    out.append('};\n')


def emit_templates(rows, out):
    """Returns the number of each distinct operand."""
    index = {}
    for row in rows:
        for operand in row.operands:
            index.setdefault(operand, len(index))
    out.append('const struct insn_template x86_insn_templates[] = {')
    for how, rclass, reg, size, memory, access, implicit in index:
        out.append('    {OPERAND_%s, X86_RC_%s, %d, %s, %d, %d, %d},' %
                   (how, rclass, reg, access, SIZE_INDEX[size], SIZE_INDEX[memory], implicit))
    out.append('};\n')
    if len(index) > 255:
        sys.exit('more than 255 distinct operands')
    return index


def emit_rows(rows, templates, out):
    out.append('const struct x86_row x86_insn_rows[] = {')
    for row in rows:
        properties = sorted('X86_ROW_' + PROPERTIES[p] for p in row.properties if p in PROPERTIES)
        out.append('    {"%s", X86_%s, X86_FEAT_%s, %s, %s, %s, %s},' %
                   (row.name.lower(), row.name, feature_name(row.feature), flag_bits(row.read),
                    flag_bits(row.written), flag_bits(row.undefined), ' | '.join(properties) or '0'))
    out.append('};\n\nconst uint16_t x86_insn_rows_count = %d;\n' % len(rows))
    out.append('const struct insn_desc x86_insn_descs[] = {')
    for row in rows:
        flags = ['INSN_' + f for f in row.flags]
        flags += ['INSN_MODRM'] * bool(row.modrm)
        flags += ['INSN_VVVV'] * any(o[0] == 'VVVV' for o in row.operands)
        mask, value = row.packed()
        numbers = [templates[o] for o in row.operands]
        out.append('    {0x%x, 0x%x, %s, %d, 0x%02x, %d, %d, {%s}, %d},' %
                   (mask, value, ' | '.join(flags) or '0', row.map + 4 * row.vex, row.opcode, row.span,
                    len(numbers), ', '.join(map(str, numbers)) or '0', SIZE_INDEX[row.vsib or '0']))
    out.append('};\n')


def emit_slots(rows, out):
    number = {id(row): i for i, row in enumerate(rows)}
    slots = candidates_of(rows)
    candidates, groups, table = [], [], {}

    def place(members):
        first = len(candidates)
        candidates.extend(members)
        return first, len(members)

    for at, members in sorted(slots.items()):
        modrm = 'SLOT_MODRM' if members[0].modrm else '0'
        if sum('reg' in row.key for row in members) < 3:
            table[at] = place(members) + (modrm,)
            continue
        table[at] = (len(groups), 8, modrm + ' | SLOT_BY_REG')
        for reg in range(8):
            groups.append(place([r for r in members if r.key.get('reg', (7, reg))[1] == reg]) + (modrm,))
    out.append('const struct insn_candidate x86_insn_candidates[] = {')
    for row in candidates:
        out.append('    {0x%x, 0x%x, %d},' % (row.packed() + (number[id(row)],)))
    out.append('};\n\nconst struct insn_slot x86_insn_groups[] = {')
    out.extend('    {%d, %d, %s},' % group for group in groups)
    out.append('};\n\nconst struct insn_slot x86_insn_slots[8][256] = {')
    for where in range(8):
        out.append('    {')
        out.extend('        [0x%02x] = {%d, %d, %s},' % ((op,) + table[where, op])
                   for op in range(256) if (where, op) in table)
        if not any((where, op) in table for op in range(256)):
            out.append('        {0, 0, 0},')
        out.append('    },')
    out.append('};')


def main():
    kind, output, *inputs = sys.argv[1:]
    rows = parse(inputs)
    out = ['/* SPDX-License-Identifier: GPL-2.0-or-later */',
           '/* Made by tools/insn-gen.py from x86/insn-*.tab: change those. */']
    if kind == 'ids':
        emit_ids(rows, out)
    else:
        out.append('#include "x86/insn-table-internal.h"\n')
        emit_sizes(out)
        templates = emit_templates(rows, out)
        emit_rows(rows, templates, out)
        emit_slots(rows, out)
    with open(output, 'w', encoding='ascii') as stream:
        stream.write('\n'.join(out) + '\n')


if __name__ == '__main__':
    main()
