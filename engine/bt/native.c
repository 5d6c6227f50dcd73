/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions that are written anew as they are, with their registers where the
 * guest's live and memory where it lies. All of the vector instructions are such.
 */
#include "engine/bt/translate.h"
#include "x86/exec-vec.h"

/* ---- which ---- */

static bool is_integer(unsigned id)
{
    switch (id) {
    case X86_ADD:
    case X86_OR:
    case X86_ADC:
    case X86_SBB:
    case X86_AND:
    case X86_SUB:
    case X86_XOR:
    case X86_CMP:
    case X86_TEST:
    case X86_INC:
    case X86_DEC:
    case X86_NOT:
    case X86_NEG:
    case X86_MOV:
    case X86_MOVZX:
    case X86_MOVSX:
    case X86_MOVSXD:
    case X86_XCHG:
    case X86_BSWAP:
    case X86_IMUL:
    case X86_SHL:
    case X86_SHR:
    case X86_SAR:
    case X86_ROL:
    case X86_ROR:
    case X86_RCL:
    case X86_RCR:
    case X86_SHLD:
    case X86_SHRD:
    case X86_SETCC:
    case X86_CMOVCC:
    case X86_BT:
    case X86_BTS:
    case X86_BTR:
    case X86_BTC:
    case X86_BSF:
    case X86_BSR:
    case X86_LZCNT:
    case X86_TZCNT:
    case X86_POPCNT:
    case X86_XADD:
    case X86_MOVBE:
    case X86_CRC32:
    case X86_ADCX:
    case X86_ADOX:
    case X86_ANDN:
    case X86_BLSR:
    case X86_BLSMSK:
    case X86_BLSI:
    case X86_BEXTR:
    case X86_BZHI:
    case X86_PEXT:
    case X86_PDEP:
    case X86_MULX:
    case X86_SHLX:
    case X86_SARX:
    case X86_SHRX:
    case X86_RORX:
        return true;
    default:
        return false;
    }
}

static bool has_mmx(const struct x86_insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        if (insn->op[i].kind == X86_OP_REG && insn->op[i].reg_class == X86_RC_MMX)
            return true;
    }
    return false;
}

static bool is_vector(const struct bt_translation *t, const struct x86_insn *insn)
{
    const struct x86_row *row = x86_insn_row(insn->row);

    return x86_exec_table[insn->id] == x86_exec_vector && !has_mmx(insn) &&
           !(row->properties & X86_ROW_FP_EXC && t->bv->key & BT_KEY_UNMASKED);
}

/* Registers that the encoding names by itself, where the host's is not the guest's. */
static bool has_foreign_register(const struct x86_insn *insn, const struct x86_encoding *enc)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *op = &insn->op[i];
        bool named =
            i == enc->reg_operand || i == enc->rm_operand || i == enc->vvvv_operand || i == enc->is4_operand;

        if (op->kind == X86_OP_REG && !named &&
            (op->reg_class == X86_RC_GPR8H || (op->reg_class == X86_RC_GPR && bt_host(op->reg) != op->reg)))
            return true;
        if (op->kind == X86_OP_REG && op->reg_class != X86_RC_GPR && op->reg_class != X86_RC_GPR8H &&
            op->reg_class != X86_RC_VEC)
            return true;
    }
    return false;
}

static unsigned count_operands(const struct x86_insn *insn, enum x86_reg_class class)
{
    unsigned n = 0;

    for (unsigned i = 0; i < insn->operand_count; i++)
        n += insn->op[i].kind == X86_OP_REG && insn->op[i].reg_class == class;
    return n;
}

static unsigned count_in_frame(const struct x86_insn *insn)
{
    unsigned n = 0;

    for (unsigned i = 0; i < insn->operand_count; i++) {
        n += insn->op[i].kind == X86_OP_REG && insn->op[i].reg_class == X86_RC_GPR &&
             bt_host(insn->op[i].reg) == HOST_NONE;
    }
    return n;
}

static bool has_memory(const struct x86_insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        if (insn->op[i].kind == X86_OP_MEM)
            return true;
    }
    return false;
}

/*
 * With a high byte register no REX may be wanted: beside DX and BX, whose host registers
 * are the same, there are AX and CX by way of the host's. CX has the memory's address.
 */
static bool high_bytes_fit(const struct x86_insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct x86_operand *op = &insn->op[i];

        if (op->kind != X86_OP_REG)
            continue;
        if (op->reg_class == X86_RC_GPR && op->size > 1 && op->reg >= X86_RBP && op->reg <= X86_RDI)
            continue;
        if (op->reg > X86_RBX || (op->reg == X86_RCX && has_memory(insn)))
            return false;
    }
    return true;
}

/* REP BSF and REP BSR, to a processor that knows no TZCNT and LZCNT. */
static bool is_old_scan(const struct bt_translation *t, const struct x86_insn *insn)
{
    return (insn->id == X86_TZCNT || insn->id == X86_LZCNT) &&
           !x86_feature(t->cpu->cpuid, x86_insn_row(insn->row)->feature);
}

/* FIXED accumulator forms have an ordinary one too. */
static bool to_ordinary(const struct x86_insn *insn, struct x86_encoding *enc)
{
    if (enc->map != 0 || enc->vex)
        return true;
    if (enc->opcode == 0x82) { /* 64-bit code has no such alias */
        enc->opcode = 0x80;
        return true;
    }
    if (enc->opcode < 0x40 && (enc->opcode & 6) == 4) { /* ADD AL, imm … */
        enc->reg = enc->opcode >> 3;
        enc->opcode = enc->opcode & 1 ? 0x81 : 0x80;
    } else if (enc->opcode == 0xa8 || enc->opcode == 0xa9) { /* TEST */
        enc->reg = 0;
        enc->opcode = enc->opcode & 1 ? 0xf7 : 0xf6;
    } else if (insn->id == X86_XCHG && enc->opcode_reg) {
        enc->reg = X86_RAX;
        enc->reg_operand = 1;
        enc->opcode = 0x87;
        enc->opcode_reg = false;
        enc->has_modrm = true;
        return true;
    } else if ((insn->id == X86_INC || insn->id == X86_DEC) && enc->opcode_reg) { /* REX in 64-bit code */
        enc->reg = insn->id == X86_DEC;
        enc->opcode = 0xff;
        enc->opcode_reg = false;
        enc->has_modrm = true;
        return true;
    } else {
        return true;
    }
    enc->has_modrm = true;
    enc->rm = X86_RAX;
    enc->rm_operand = 0;
    return true;
}

static bool encoding(const struct x86_insn *insn, struct x86_encoding *enc)
{
    return x86_encoding_of(insn, enc) && to_ordinary(insn, enc) && !has_foreign_register(insn, enc);
}

bool bt_is_native(const struct bt_translation *t, const struct x86_insn *insn)
{
    const struct x86_row *row = x86_insn_row(insn->row);
    struct x86_encoding enc;

    if (!is_integer(insn->id) && !is_vector(t, insn))
        return false;
    if (row->feature != X86_FEAT_NONE && !x86_feature(t->cpu->cpuid, row->feature) && !is_old_scan(t, insn))
        return false;
    if (bt_is_bit_string(insn) || !encoding(insn, &enc))
        return false;
    if (insn->id == X86_MOVSXD && insn->op[0].size == 2) /* AMD's reads 32 bits of memory, Intel's 16 */
        return false;
    if (!t->wide && enc.vex && count_operands(insn, X86_RC_GPR) && enc.w)
        return false;
    if (count_operands(insn, X86_RC_GPR8H) && (count_in_frame(insn) || !high_bytes_fit(insn)))
        return false;
    /* Of VEX's, only one is read that cannot be a memory operand itself; what is written may take rcx. */
    return (enc.vex && is_integer(insn->id)) || count_in_frame(insn) <= (has_memory(insn) ? 1U : 2U);
}

/* ---- how ---- */

static void flags_written(struct bt_translation *t, const struct x86_row *row)
{
    if (row->flags_written | row->flags_undefined)
        t->flags = BT_FLAGS_HOST;
}

void bt_want_vectors(struct bt_translation *t)
{
    struct emit *e = &t->e;

    if (t->vec_live)
        return;
    emit_load32(e, HOST_RCX, HOST_FRAME(vec_dead));
    emit_jrcxz(e, 5);
    emit_call(e, t->bvm->code.vec_load);
    t->vec_live = true;
}

struct operand_fix {
    uint8_t *place;  /* in the encoding */
    uint8_t guest;   /* register */
    uint8_t scratch; /* host register it is in, HOST_NONE: its own */
    bool read, write;
    bool in_frame; /* wants a scratch register */
};

/* With a high byte register, AX and CX are in the host's. False: the ordinary way. */
static bool place_beside_high(struct operand_fix *fix, const struct x86_operand *op, uint8_t *place)
{
    bool high = op->reg_class == X86_RC_GPR8H;

    *place = (uint8_t)(op->reg + (high ? 4 : 0));
    if (op->reg != X86_RAX && op->reg != X86_RCX)
        return high;
    fix->guest = op->reg;
    fix->scratch = op->reg == X86_RAX ? HOST_RAX : HOST_RCX;
    fix->read = true;
    fix->write = op->access & X86_WRITE;
    return true;
}

/* Puts host registers in the encoding's places, but for those that live in the frame. */
static void place_register(struct operand_fix *fix, const struct x86_insn *insn, uint8_t operand,
                           uint8_t *place, bool high)
{
    const struct x86_operand *op;

    *fix = (struct operand_fix){.scratch = HOST_NONE};
    if (operand == X86_ENCODING_NONE || insn->op[operand].kind != X86_OP_REG)
        return;
    op = &insn->op[operand];
    if (op->reg_class != X86_RC_GPR && op->reg_class != X86_RC_GPR8H)
        return;
    if (high && place_beside_high(fix, op, place))
        return;
    fix->guest = op->reg;
    if (bt_host(op->reg) != HOST_NONE) {
        *place = bt_host(op->reg);
        return;
    }
    fix->place = place;
    fix->in_frame = true;
    fix->read = op->access & X86_READ || op->size < 4;
    fix->write = op->access & X86_WRITE;
}

static void give(struct operand_fix *fix, unsigned scratch, bool *taken)
{
    fix->scratch = *fix->place = (uint8_t)scratch;
    fix->in_frame = false;
    taken[scratch == HOST_RCX] = true;
}

/*
 * Scratch registers for those that live in the frame: the one that has the value, if it may be had. rcx has
 * the memory's address; only what is not read before that may have it too.
 */
static void give_scratch(struct bt_translation *t, struct operand_fix fix[3], bool rcx_busy)
{
    bool taken[2] = {false, false};

    for (unsigned i = 0; i < 3; i++) {
        unsigned has = fix[i].in_frame && fix[i].read ? bt_mirror_of(t, fix[i].guest) : HOST_NONE;

        if ((has == HOST_RAX || (has == HOST_RCX && !rcx_busy)) && !taken[has == HOST_RCX])
            give(&fix[i], has, taken);
    }
    for (unsigned i = 0; i < 3; i++) {
        bool rcx = taken[0] || (!taken[1] && !rcx_busy && t->mirror_last == HOST_RAX);

        if (fix[i].in_frame)
            give(&fix[i], rcx ? HOST_RCX : HOST_RAX, taken);
    }
}

/* MOV and two-operand arithmetic have an opcode for each direction. */
static bool has_direction(const struct x86_encoding *enc)
{
    return !enc->map && !enc->vex &&
           ((enc->opcode < 0x40 && !(enc->opcode & 4)) || (enc->opcode & 0xfc) == 0x88);
}

static bool lives_in_frame(const struct x86_insn *insn, uint8_t operand)
{
    const struct x86_operand *op = &insn->op[operand < 4 ? operand : 0];

    return operand < 4 && op->kind == X86_OP_REG && op->reg_class == X86_RC_GPR &&
           bt_host(op->reg) == HOST_NONE;
}

/*
 * A register that lives in the frame as the instruction's memory operand. Only where that changes nothing:
 * not if 32 bits are written, which clear the other half, nor fewer, which the next load would wait for. Nor
 * if its value is at hand. Returns the guest register if it is written, or HOST_NONE.
 */
static unsigned use_frame_operand(const struct bt_translation *t, const struct x86_insn *insn,
                                  struct x86_encoding *enc, struct host_mem *m)
{
    const struct x86_operand *op;

    if (enc->memory || !enc->has_modrm || !is_integer(insn->id) || insn->id == X86_XCHG ||
        insn->id == X86_XADD || insn->id == X86_BT || insn->id == X86_BTS || insn->id == X86_BTR ||
        insn->id == X86_BTC)
        return HOST_NONE;
    if (lives_in_frame(insn, enc->reg_operand) && !lives_in_frame(insn, enc->rm_operand) &&
        has_direction(enc)) {
        uint8_t reg = enc->reg, operand = enc->reg_operand;

        enc->opcode ^= 2;
        enc->reg = enc->rm;
        enc->reg_operand = enc->rm_operand;
        enc->rm = reg;
        enc->rm_operand = operand;
    }
    if (!lives_in_frame(insn, enc->rm_operand))
        return HOST_NONE;
    op = &insn->op[enc->rm_operand];
    if (op->access & X86_WRITE && op->size != 8)
        return HOST_NONE;
    if (op->access & X86_READ && bt_mirror_of(t, op->reg) != HOST_NONE && count_in_frame(insn) <= 2)
        return HOST_NONE;
    *m = bt_frame_gpr(op->reg);
    enc->rm_operand = X86_ENCODING_NONE;
    enc->rm = 0;
    enc->memory = true;
    return op->access & X86_WRITE ? op->reg : HOST_NONE;
}

static void load_scratch(struct bt_translation *t, const struct operand_fix *fix)
{
    if (fix->scratch != HOST_NONE && fix->read) {
        if (bt_host(fix->guest) == HOST_NONE)
            bt_mirror_load(t, fix->scratch, fix->guest);
        else
            emit_mov_rr(&t->e, fix->scratch, bt_host(fix->guest));
    }
}

static void store_scratch(struct bt_translation *t, const struct operand_fix *fix)
{
    if (fix->scratch == HOST_NONE || !fix->write)
        return;
    bt_set(t, fix->guest, fix->scratch);
}

static bool is_byte(const struct x86_insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        if (insn->op[i].kind == X86_OP_REG && insn->op[i].reg_class == X86_RC_GPR && insn->op[i].size == 1)
            return true;
    }
    return false;
}

/* Its address in rcx; rax is kept if nothing is checked. */
static struct host_mem put_access(struct bt_translation *t, bool high)
{
    bool keeps = !high && !bt_has_check(t, t->now);
    struct host_mem m;

    if (keeps)
        bt_mirror_open(t);
    m = bt_access(t, 0, high);
    if (keeps) {
        bt_mirror_lose(t, HOST_RCX);
        bt_mirror_close(t);
    }
    return m;
}

static void put_flags(struct bt_translation *t)
{
    uint32_t before = emit_offset(&t->e);

    bt_mirror_open(t);
    bt_flags_host(t);
    if (emit_offset(&t->e) != before)
        bt_mirror_lose(t, HOST_RAX);
    bt_mirror_close(t);
}

/* Writes it, and what it changed back. written: a register of the frame that it changes there. */
static void put_encoding(struct bt_translation *t, unsigned flags, const struct x86_encoding *enc,
                         const struct host_mem *m, const struct operand_fix fix[3], unsigned written)
{
    bt_mirror_open(t);
    emit_encoding(&t->e, flags, enc, m);
    for (unsigned i = 0; i < 3; i++) {
        if (fix[i].scratch != HOST_NONE && (fix[i].write || bt_host(fix[i].guest) != HOST_NONE))
            bt_mirror_lose(t, fix[i].scratch);
        store_scratch(t, &fix[i]);
    }
    if (written != HOST_NONE)
        bt_mirror_changed(t, written);
    for (unsigned i = 0; i < 3; i++) {
        if (fix[i].scratch == HOST_NONE || !fix[i].write || bt_host(fix[i].guest) != HOST_NONE)
            continue;
        bt_mirror_changed(t, fix[i].guest);
        bt_mirror_set(t, fix[i].scratch, fix[i].guest);
    }
    bt_mirror_close(t);
}

bool bt_put_native(struct bt_translation *t)
{
    const struct x86_insn *insn = bt_now(t);
    const struct x86_row *row = x86_insn_row(insn->row);
    struct host_mem m = {.base = HOST_NONE, .index = HOST_NONE};
    bool high = count_operands(insn, X86_RC_GPR8H);
    struct operand_fix fix[3];
    struct x86_encoding enc;
    unsigned written = HOST_NONE;
    unsigned flags =
        (is_byte(insn) && !high ? EMIT_BYTE : 0U) | (insn->prefixes & X86_PFX_LOCK ? EMIT_LOCK : 0U);

    if (!bt_is_native(t, insn) || !encoding(insn, &enc))
        return false;
    if (row->properties & X86_ROW_VECTOR)
        bt_want_vectors(t);
    if (enc.memory)
        m = put_access(t, high);
    else
        written = use_frame_operand(t, insn, &enc, &m);
    if (bt_flags_need(t, insn) == BT_NEED_ALL)
        put_flags(t);
    /* Written back in this order: of MULX's two the high half stays, of XADD's the sum. */
    place_register(&fix[0], insn, enc.vvvv_operand, &enc.vvvv, high);
    place_register(&fix[1], insn, enc.reg_operand, &enc.reg, high);
    place_register(&fix[2], insn, enc.rm_operand, &enc.rm, high);
    if (is_old_scan(t, insn)) {
        enc.prefix = 0;
        fix[1].read = true; /* a source of 0 leaves it as it was */
    }
    give_scratch(t, fix, m.base == HOST_RCX);
    for (unsigned i = 0; i < 3; i++)
        load_scratch(t, &fix[i]);
    put_encoding(t, flags, &enc, &m, fix, written);
    flags_written(t, row);
    return true;
}
